// step/secant: the secant equation, and the region's minimiser against brute force, convex or not.
#include <doctest/doctest.h>

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <cmath>

#include "fakes.hpp"
#include "marquardt/step/secant.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

// p'S q from the quadratic form.
double product(const Secant& secant, const Vector& p, const Vector& q) {
  const Vector sum = p + q, difference = p - q;
  return 0.25 * (secant.curvature(sum) - secant.curvature(difference));
}

Matrix matrix_of(const Secant& secant, Index n) {
  Matrix S(n, n);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) S(i, j) = product(secant, Vector::Unit(n, i), Vector::Unit(n, j));
  }
  return S;
}

// Two points of random residuals and Jacobians, and S between them.
struct Pair {
  Point before, after;
  Secant secant;

  Pair(Index m, Index n, unsigned seed) {
    Numbers numbers(seed);
    before = point_of(numbers.matrix(m, n), numbers.vector(m), numbers.vector(n));
    after = point_of(numbers.matrix(m, n), numbers.vector(m), numbers.vector(n));
    secant.update(before.x, before.g(), before.J.view().transpose() * after.r, after);
  }
};

double value(const Matrix& B, const Vector& g, const Vector& p) { return 0.5 * p.dot(B * p) + g.dot(p); }

// No point of a dense sample of the region is lower, and the first-order conditions of the region hold.
void check_minimiser(const Matrix& B, const Vector& g, double Delta, const Vector& p) {
  Numbers numbers(7);
  CHECK(p.norm() <= Delta * (1 + 1e-12));
  for (int k = 0; k < 2000; ++k) {
    Vector q = numbers.vector(p.size());
    q *= Delta * std::abs(numbers.vector(1)[0]) / std::max(q.norm(), Delta);
    if (q.norm() > Delta) q *= Delta / q.norm();
    // the radius is met to 1 %, hence the minimum to a few of its per cent
    CHECK(value(B, g, p) <= value(B, g, q) + 0.03 * std::abs(value(B, g, q)));
  }
}

}  // namespace

TEST_CASE("secant: S maps the step to (J+ - J)'r+ and is symmetric") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const Pair pair(9, 4, seed);
    const Vector s = pair.after.x - pair.before.x;
    const Vector wanted = pair.after.g() - pair.before.J.view().transpose() * pair.after.r;
    const Matrix S = matrix_of(pair.secant, 4);
    CHECK((S * s - wanted).norm() <= 1e-9 * wanted.norm() * (1 + S.norm()));
  }
}

TEST_CASE("secant: nothing is known before a step, after forget, and after a step that shows no curvature") {
  Secant secant;
  CHECK_FALSE(secant.known());
  Pair pair(9, 4, 3);
  CHECK(pair.secant.known());
  pair.secant.forget();
  CHECK_FALSE(pair.secant.known());
  secant.update(pair.after.x, pair.after.g(), pair.after.g(), pair.after);  // s = 0
  CHECK_FALSE(secant.known());
}

TEST_CASE("secant: the full step where J'J + S is positive definite and it fits") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    Pair pair(9, 3, seed);
    const Vector d = Vector::Ones(3);
    Model model;
    model.set(pair.after.rows, d, Vector::Zero(3));
    const Matrix B = pair.after.J.view().transpose() * pair.after.J.view() + matrix_of(pair.secant, 3);
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(B);
    if (eigen.eigenvalues()[0] <= 1e-3) continue;
    const Vector full = -B.colPivHouseholderQr().solve(pair.after.g());
    Vector p;
    pair.secant.factor(model);
    CHECK_FALSE(pair.secant.solve(2 * full.norm(), p));
    CHECK((p - full).norm() <= 1e-8 * full.norm());
    CHECK(pair.secant.solve(0.3 * full.norm(), p));
    check_minimiser(B, pair.after.g(), 0.3 * full.norm(), p);
  }
}

TEST_CASE("secant: the region's minimiser where J'J + S is indefinite") {
  int indefinite = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    Pair pair(4, 3, seed);
    Model model;
    const Vector d = Vector::Ones(3);
    model.set(pair.after.rows, d, Vector::Zero(3));
    const Matrix B = pair.after.J.view().transpose() * pair.after.J.view() + matrix_of(pair.secant, 3);
    if (Eigen::SelfAdjointEigenSolver<Matrix>(B).eigenvalues()[0] >= -0.01) continue;
    ++indefinite;
    Vector p;
    pair.secant.factor(model);
    for (const double Delta : {0.01, 1.0, 100.0}) {
      CHECK(pair.secant.solve(Delta, p));
      CHECK(p.norm() == doctest::Approx(Delta).epsilon(1e-9));
      check_minimiser(B, pair.after.g(), Delta, p);
    }
  }
  CHECK(indefinite > 5);
}
