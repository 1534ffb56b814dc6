// linalg/triangle: the kernels under the subproblems.
#include <doctest/doctest.h>

#include <Eigen/SVD>
#include <cmath>

#include "marquardt/linalg/triangle.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::uniform;

namespace {

Matrix random_triangle(Index n, std::uint64_t seed) {
  return uniform(n, n, seed).triangularView<Eigen::Upper>().toDenseMatrix();
}

// T'T and T'w, which orthogonal transformations from the left leave alone
void check_same_normal_equations(const Matrix& T, const Vector& w, const Matrix& gram, const Vector& right) {
  CHECK((T.triangularView<Eigen::StrictlyLower>().toDenseMatrix().array() == 0).all());
  CHECK((T.transpose() * T - gram).norm() <= 1e-14 * gram.norm());
  CHECK((T.transpose() * w - right).norm() <= 1e-13 * right.norm());
}

}  // namespace

TEST_CASE("triangle: rotated columns are orthogonal and sorted, and keep every product") {
  for (const Index n : {1, 2, 3, 8, 16, 40}) {
    for (const double condition : {1.0, 1e4, 1e12}) {
      for (const bool deficient : {false, true}) {
        CAPTURE(n);
        CAPTURE(condition);
        Matrix T = samples::with_singular_values(n, samples::spread(n, condition), 7);
        if (deficient) T.col(n - 1) = T.col(0);
        Matrix L = T;
        Vector w = uniform(n, 1, 8);
        const Vector Lw = L * w;
        orthogonalise(L, w);
        const Vector sigma = L.colwise().norm();
        const double noise = 10 * static_cast<double>(n) * epsilon;
        for (Index i = 1; i < n; ++i) {
          CHECK(sigma[i] <= sigma[i - 1] * (1 + noise));
          for (Index j = 0; j < i; ++j) CHECK(std::abs(L.col(i).dot(L.col(j))) <= noise * sigma[i] * sigma[j]);
        }
        CHECK((L * w - Lw).norm() <= noise * L.norm() * w.norm());
        CHECK((L * L.transpose() - T * T.transpose()).norm() <= noise * T.squaredNorm());
        CHECK(std::abs(sigma[0] - T.jacobiSvd().singularValues()[0]) <= noise * sigma[0]);
      }
    }
  }
}

TEST_CASE("triangle: a diagonal folded in adds its squares to T'T") {
  for (const Index n : {1, 2, 5, 23}) {
    Vector s = uniform(n, 1, 3);
    for (const bool gaps : {false, true}) {
      if (gaps) s.head((n + 1) / 2).setZero();
      Matrix T = random_triangle(n, 1), fill;
      Vector w = uniform(n, 1, 2);
      T.col(n / 2).setZero();  // a dead column must not stop it
      const Matrix gram = T.transpose() * T + Matrix(s.cwiseAbs2().asDiagonal());
      const Vector right = T.transpose() * w;
      fold_diagonal(s, T, w, fill);
      check_same_normal_equations(T, w, gram, right);
    }
  }
}

TEST_CASE("triangle: column pivoting keeps T'T and sorts the pivots") {
  for (const Index n : {1, 2, 6, 31}) {
    Matrix T = random_triangle(n, 4);
    if (n > 4) T.col(4) = T.col(1);
    Vector w = uniform(n, 1, 5);
    Eigen::VectorXi order = Eigen::VectorXi::LinSpaced(n, 0, static_cast<int>(n) - 1);
    const Matrix before = T.transpose() * T;
    const Vector right = T.transpose() * w;
    pivot_columns(T, w, order);
    Matrix gram(n, n);
    Vector pivoted_right(n);
    for (Index i = 0; i < n; ++i) {
      pivoted_right[i] = right[order[i]];
      for (Index j = 0; j < n; ++j) gram(i, j) = before(order[i], order[j]);
    }
    check_same_normal_equations(T, w, gram, pivoted_right);
    for (Index k = 1; k < n; ++k) CHECK(std::abs(T(k, k)) <= std::abs(T(k - 1, k - 1)) * (1 + 1e-14));
    if (n > 4) CHECK(std::abs(T(n - 1, n - 1)) < 1e-14);
  }
}

TEST_CASE("triangle: the square root of either form has the model's normal equations") {
  for (const Form form : {Form::triangle, Form::gram}) {
    for (const Index m : {3, 12}) {
      const Index n = 5;
      Matrix J = uniform(m, n, 6);
      J.col(1) *= 1e120;  // squares leave the range of a double without the scale s
      const Vector r = uniform(m, 1, 7);
      Vector d = uniform(n, 1, 8).cwiseAbs(), C = uniform(n, 1, 9).cwiseAbs();
      d[1] *= 1e-120;
      d[3] = 0;
      C[0] = 0;
      const Reduced rows = samples::reduce(form, J, r);
      Model model;
      model.set(rows, d, C);
      Root root;
      square_root(model, root);
      const Matrix A = J * d.asDiagonal();
      const Matrix B = A.transpose() * A + Matrix(C.asDiagonal());
      const Vector g = A.transpose() * r;
      Matrix gram(n, n);
      Vector right(n);
      for (Index i = 0; i < n; ++i) {
        right[i] = root.s * g[root.order[i]];
        for (Index j = 0; j < n; ++j) gram(i, j) = root.s * root.s * B(root.order[i], root.order[j]);
      }
      check_same_normal_equations(root.T, root.w, gram, right);
      CHECK(root.T.cwiseAbs().maxCoeff() <= 2);
      CHECK(root.T.cwiseAbs().maxCoeff() >= 0.1);
      const NoMalloc guard;
      square_root(model, root);
    }
  }
}
