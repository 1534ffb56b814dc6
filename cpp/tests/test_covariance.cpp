// solve/covariance: against the inverse in extended precision; dependent columns; parameters that are held.
#include <doctest/doctest.h>

#include <Eigen/LU>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "marquardt/solve/covariance.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::uniform;

namespace {

std::vector<Index> all(Index n) {
  std::vector<Index> free(static_cast<std::size_t>(n));
  std::iota(free.begin(), free.end(), Index{0});
  return free;
}

Matrix exact(const Matrix& J, double variance) {
  const samples::LongMatrix A = J.cast<samples::Long>();
  const samples::LongMatrix inverse = (A.transpose() * A).inverse();
  return (inverse * static_cast<samples::Long>(variance)).cast<double>();
}

bool all_infinite(const Matrix& C) { return (C.array() == infinity).all(); }

}  // namespace

TEST_CASE("covariance: the inverse of J'J, whatever the condition and the units") {
  for (const Index n : {1, 2, 3, 7, 30}) {
    for (const double condition : {1.0, 1e2, 1e5}) {
      for (const double unit : {1.0, 1e-60, 1e60}) {
        CAPTURE(n);
        CAPTURE(condition);
        CAPTURE(unit);
        Matrix J = samples::with_singular_values(2 * n + 5, samples::spread(n, condition), 3);
        const Matrix C0 = exact(J, 2.5);
        Vector units = Vector::Ones(n);
        units[n - 1] = unit;
        J = J * units.asDiagonal();
        Matrix C;
        REQUIRE(covariance(J, all(n), 0, 2.5, C));
        const Matrix back = units.asDiagonal() * C * units.asDiagonal();
        CHECK((back - C0).norm() <= 1e-15 * std::pow(std::max(condition, 30.0), 2) * C0.norm());
        CHECK((C - C.transpose()).norm() == 0);
      }
    }
  }
}

TEST_CASE("covariance: dependent columns, or such as the noise of J hides, are infinite") {
  Matrix C;
  for (const double scale : {1.0, 1e-200, 1e200}) {
    Matrix J = uniform(20, 4, 5);
    J.col(3) = 2 * J.col(0) - J.col(1);
    CHECK_FALSE(covariance(J * scale, all(4), 0, 1, C));
    CHECK(all_infinite(C));
  }
  const Matrix J = samples::with_singular_values(20, samples::spread(3, 1e5), 6);
  CHECK(covariance(J, all(3), 1e-8, 1, C));
  CHECK_FALSE(covariance(J, all(3), 1e-4, 1, C));
}

TEST_CASE("covariance: nothing is known from too few rows, no variance, zero columns or numbers that are none") {
  Matrix C, J = uniform(6, 3, 7);
  CHECK_FALSE(covariance(uniform(2, 3, 8), all(3), 0, 1, C));
  CHECK(all_infinite(C));
  CHECK_FALSE(covariance(J, all(3), 0, infinity, C));
  CHECK_FALSE(covariance(J, all(3), 0, std::nan(""), C));
  for (const double bad : {std::nan(""), infinity}) {
    Matrix spoilt = J;
    spoilt(4, 1) = bad;
    CHECK_FALSE(covariance(spoilt, all(3), 0, 1, C));
    CHECK(all_infinite(C));
  }
  J.col(2).setZero();
  CHECK_FALSE(covariance(J, all(3), 0, 1, C));
}

TEST_CASE("covariance: held parameters have none, and the others theirs without them") {
  Matrix J = uniform(9, 4, 9), C;
  J.col(1).setConstant(std::nan(""));  // not even looked at
  REQUIRE(covariance(J, {0, 2, 3}, 0, 1, C));
  Matrix kept(9, 3);
  kept << J.col(0), J.col(2), J.col(3);
  const Matrix expected = exact(kept, 1);
  const std::vector<Index> free{0, 2, 3};
  for (Index i = 0; i < 3; ++i) {
    for (Index j = 0; j < 3; ++j) {
      CHECK(C(free[static_cast<std::size_t>(i)], free[static_cast<std::size_t>(j)]) ==
            doctest::Approx(expected(i, j)).epsilon(1e-12));
    }
  }
  CHECK((C.row(1).array() == 0).all());
  CHECK((C.col(1).array() == 0).all());
  REQUIRE(covariance(J, {}, 0, 1, C));
  CHECK((C.array() == 0).all());
  CHECK(C.rows() == 4);
}
