// solve/bounded_linear: against every active set in extended precision, and on systems that defeat normal equations.
#include <doctest/doctest.h>

#include <Eigen/QR>
#include <cmath>

#include "marquardt/solve/bounded_linear.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::Long;
using samples::LongMatrix;
using samples::LongVector;

namespace {

constexpr int enough = 1000;

Matrix random(Index m, Index n, std::uint64_t seed) { return samples::uniform(m, n, seed); }

Vector uniform(Index n, double low, double high, std::uint64_t seed) {
  return low + 0.5 * (high - low) * (1 + samples::uniform(n, 1, seed).array());
}

// The least squared residual over all 3^n active sets.
Long least(const Matrix& A, const Vector& b, const Vector& lower, const Vector& upper) {
  const Index n = A.cols();
  Index sets = 1;
  for (Index i = 0; i < n; ++i) sets *= 3;
  Long best = std::numeric_limits<Long>::infinity();
  for (Index code = 0; code < sets; ++code) {
    std::vector<Index> free;
    LongVector x = LongVector::Zero(n);
    for (Index i = 0, c = code; i < n; ++i, c /= 3) {
      if (c % 3 == 2) {
        free.push_back(i);
      } else {
        x[i] = c % 3 == 0 ? lower[i] : upper[i];
      }
    }
    if (!x.cast<double>().allFinite()) continue;
    if (!free.empty()) {
      LongMatrix F(A.rows(), static_cast<Index>(free.size()));
      for (Index a = 0; a < F.cols(); ++a) F.col(a) = A.col(free[static_cast<std::size_t>(a)]).cast<Long>();
      const LongVector left = b.cast<Long>() - A.cast<Long>() * x;
      const LongVector t = Eigen::ColPivHouseholderQR<LongMatrix>(F).solve(left);
      for (Index a = 0; a < F.cols(); ++a) x[free[static_cast<std::size_t>(a)]] = t[a];
    }
    bool inside = true;
    for (Index i = 0; i < n; ++i) inside = inside && x[i] >= lower[i] - 1e-15L && x[i] <= upper[i] + 1e-15L;
    if (inside) best = std::min(best, (A.cast<Long>() * x - b.cast<Long>()).squaredNorm());
  }
  return best;
}

// Largest violation of the first-order conditions in extended precision, relative to the size of its terms.
double violation(const Matrix& A, const Vector& b, const Vector& x, const Vector& lower, const Vector& upper) {
  const LongVector g = A.cast<Long>().transpose() * (A.cast<Long>() * x.cast<Long>() - b.cast<Long>());
  const Vector lengths = A.colwise().norm();
  const double size = b.norm() + lengths.dot(x.cwiseAbs());
  double worst = 0;
  for (Index j = 0; j < x.size(); ++j) {
    if (lower[j] == upper[j] || (x[j] == lower[j] && g[j] >= 0) || (x[j] == upper[j] && g[j] <= 0)) continue;
    if (lengths[j] > 0) worst = std::max(worst, std::abs(static_cast<double>(g[j])) / (lengths[j] * size));
  }
  return worst;
}

}  // namespace

TEST_CASE("bounded linear: the best of all active sets") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    const Index n = 1 + static_cast<Index>(seed % 5), m = n + static_cast<Index>(seed % 4);
    const Matrix A = random(m, n, seed);
    const Vector b = uniform(m, -2, 2, seed + 7);
    Vector lower = uniform(n, -0.6, 0, seed + 8), upper = lower + uniform(n, 0, 1, seed + 9);
    if (seed % 3 == 0) lower[0] = -infinity;
    if (seed % 4 == 0) upper[n - 1] = infinity;
    const BoundedFit fit = solve_bounded(A, b, lower, upper, Matrix(n, 0), enough);
    CHECK(fit.status[0] != BoundedStatus::stalled);
    const Vector x = fit.x.col(0);
    CHECK(violation(A, b, x, lower, upper) <= 1e-14);
    const double residual = (A * x - b).squaredNorm();
    CHECK(residual == doctest::Approx(static_cast<double>(least(A, b, lower, upper))).epsilon(1e-12));
    for (Index j = 0; j < n; ++j) {
      if (fit.active(j, 0) != 0) CHECK(x[j] == (fit.active(j, 0) < 0 ? lower[j] : upper[j]));
    }
  }
}

TEST_CASE("bounded linear: Hilbert matrices, whose normal equations have no digits left") {
  for (Index n = 8; n <= 24; n += 4) {
    CAPTURE(n);
    Matrix A(n + 3, n);
    for (Index i = 0; i < n + 3; ++i) {
      for (Index j = 0; j < n; ++j) A(i, j) = 1.0 / static_cast<double>(i + j + 1);
    }
    const Vector lower = Vector::Zero(n), upper = Vector::Constant(n, infinity);
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      const Vector b = uniform(n + 3, -1, 1, seed);
      const BoundedFit fit = solve_bounded(A, b, lower, upper, Matrix(n, 0), enough);
      CHECK(fit.status[0] == BoundedStatus::solved);
      CHECK(violation(A, b, fit.x.col(0), lower, upper) <= 1e-14);
    }
  }
}

TEST_CASE("bounded linear: many right-hand sides are one after the other") {
  const Matrix A = random(30, 9, 1), B = random(30, 6, 2);
  const Vector lower = Vector::Constant(9, -0.1), upper = Vector::Constant(9, 0.2);
  const BoundedFit all = solve_bounded(A, B, lower, upper, Matrix(9, 0), enough);
  for (Index k = 0; k < 6; ++k) {
    const BoundedFit one = solve_bounded(A, B.col(k), lower, upper, Matrix(9, 0), enough);
    CHECK((all.x.col(k) - one.x).norm() <= 1e-14);
    CHECK(all.active.col(k) == one.active.col(0));
    const BoundedFit again = solve_bounded(A, B.col(k), lower, upper, one.x, enough);
    CHECK(again.iterations[0] == 1);
    CHECK((again.x - one.x).norm() <= 1e-15);
  }
}

TEST_CASE("bounded linear: dependent columns give the shortest, and say that there are others") {
  Matrix A = random(12, 5, 3);
  A.col(4) = A.col(1);
  const Vector b = uniform(12, -1, 1, 4), wide = Vector::Constant(5, 10);
  const BoundedFit fit = solve_bounded(A, b, -wide, wide, Matrix(5, 0), enough);
  CHECK(fit.status[0] == BoundedStatus::unconstrained);
  CHECK_FALSE(fit.unique[0]);
  CHECK(fit.ranks[0] == 4);
  CHECK(fit.x(4, 0) == doctest::Approx(fit.x(1, 0)).epsilon(1e-12));
}

TEST_CASE("bounded linear: empty systems, and the limit") {
  const Vector zeros = Vector::Zero(3), ones = Vector::Ones(3);
  CHECK(solve_bounded(Matrix(0, 3), Matrix(0, 1), ones, 2 * ones, Matrix(3, 0), enough).x == ones);
  CHECK(solve_bounded(Matrix(3, 0), ones, Vector(0), Vector(0), Matrix(0, 0), enough).x.size() == 0);
  const Matrix A = random(5, 20, 5);
  const Vector lower = Vector::Zero(20), upper = Vector::Constant(20, infinity), b = A * Vector::Ones(20);
  const BoundedFit fit = solve_bounded(A, b, lower, upper, Matrix(20, 0), 0);
  CHECK((fit.x.array() >= 0).all());
  CHECK(solve_bounded(A, b, lower, upper, Matrix(20, 0), enough).status[0] != BoundedStatus::limit);
}

TEST_CASE("bounded linear: rows folded in blocks have the triangle of all") {
  const Matrix A = random(50, 6, 6), B = random(50, 2, 7);
  Matrix R(0, 6), Z(0, 2);
  for (Index top = 0; top < 50; top += 7) {
    const Index k = std::min<Index>(7, 50 - top);
    fold_rows(A.middleRows(top, k), B.middleRows(top, k), R, Z);
  }
  CHECK(R.rows() == 6);
  CHECK((R.transpose() * R - A.transpose() * A).norm() <= 1e-13 * A.squaredNorm());
  CHECK((R.transpose() * Z - A.transpose() * B).norm() <= 1e-13 * A.norm() * B.norm());
}
