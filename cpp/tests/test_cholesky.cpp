#include <doctest/doctest.h>

#include "marquardt/linalg/cholesky.hpp"
#include "samples.hpp"

using namespace marquardt;

namespace {

const Index sizes[] = {1, 2, 3, 8, 12, 13, 40, 64, 65, 150};

Matrix definite(Index n, std::uint64_t seed) {
  const Matrix A = samples::uniform(2 * n, n, seed);
  return A.transpose() * A;
}

bool factor(Matrix& A, double least = 0) { return cholesky(A, Vector::Constant(A.rows(), least).eval().data()); }

}  // namespace

TEST_CASE("cholesky: factors multiply to the matrix, and what is above stays") {
  for (const Index n : sizes) {
    CAPTURE(n);
    const Matrix A = definite(n, 1);
    Matrix L = A;
    L.triangularView<Eigen::StrictlyUpper>().setConstant(7);
    REQUIRE(factor(L));
    CHECK((L.diagonal().array() > 0).all());
    CHECK((L.triangularView<Eigen::StrictlyUpper>().toDenseMatrix().sum()) == 7.0 * double(n * (n - 1) / 2));
    const Matrix T = L.triangularView<Eigen::Lower>();
    CHECK((T * T.transpose() - A).norm() <= 1e-15 * double(n) * A.norm());
  }
}

TEST_CASE("cholesky: a matrix that is not positive definite, or not finite, is refused") {
  for (const Index n : sizes) {
    for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
      CAPTURE(n);
      CAPTURE(wrong);
      Matrix A = Matrix::Identity(n, n);
      A(n - 1, n - 1) = wrong;
      CHECK_FALSE(factor(A));
    }
    if (n == 1) continue;
    Matrix singular = Matrix::Ones(n, n);
    CHECK_FALSE(factor(singular));
  }
}

TEST_CASE("cholesky: the first pivot that is not above its least ends it") {
  for (const Index n : sizes) {
    CAPTURE(n);
    Matrix A = 4 * Matrix::Identity(n, n), B = A;
    CHECK(factor(A, 3.9));
    CHECK_FALSE(factor(B, 4));
  }
}

TEST_CASE("cholesky: systems with L and L', and products, as in extended precision") {
  for (const Index n : sizes) {
    CAPTURE(n);
    Matrix L = definite(n, 2);
    REQUIRE(factor(L));
    const samples::LongMatrix exact = L.triangularView<Eigen::Lower>().toDenseMatrix().cast<samples::Long>();
    const Vector y = samples::uniform(n, 1, 3);
    const double tolerance = 1e-12;
    Vector x = y;
    solve_lower(L, x);
    CHECK(double((exact * x.cast<samples::Long>() - y.cast<samples::Long>()).norm()) <= tolerance);
    x = y;
    solve_lower_transposed(L, x);
    CHECK(double((exact.transpose() * x.cast<samples::Long>() - y.cast<samples::Long>()).norm()) <= tolerance);
    const Matrix A = samples::uniform(n, n, 4);
    multiply(A, y, x);
    CHECK((x - A * y).norm() <= 1e-14 * double(n));
  }
}
