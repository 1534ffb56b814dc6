#include <doctest/doctest.h>

#include "marquardt/linalg/upper.hpp"
#include "samples.hpp"

using namespace marquardt;

namespace {

Matrix definite(Index n, std::uint64_t seed) {
  const Matrix A = samples::uniform(2 * n, n, seed);
  return A.transpose() * A;
}

}  // namespace

TEST_CASE("upper: factors multiply to the matrix, and what is below stays") {
  for (const Index n : {1, 2, 3, 8, 12, 13, 40}) {
    CAPTURE(n);
    const Matrix A = definite(n, 1);
    Matrix U = A;
    U.triangularView<Eigen::StrictlyLower>().setConstant(7);
    REQUIRE(factor_upper(U));
    CHECK((U.diagonal().array() > 0).all());
    CHECK((U.triangularView<Eigen::StrictlyLower>().toDenseMatrix().sum()) == 7.0 * double(n * (n - 1) / 2));
    const Matrix R = U.triangularView<Eigen::Upper>();
    CHECK((R.transpose() * R - A).norm() <= 1e-15 * double(n) * A.norm());
  }
}

TEST_CASE("upper: a matrix that is not positive definite, or not finite, is refused") {
  for (const Index n : {1, 2, 5, 12, 13, 30}) {
    for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
      CAPTURE(n);
      CAPTURE(wrong);
      Matrix A = Matrix::Identity(n, n);
      A(n - 1, n - 1) = wrong;
      CHECK_FALSE(factor_upper(A));
    }
    if (n == 1) continue;
    Matrix singular = Matrix::Ones(n, n);
    CHECK_FALSE(factor_upper(singular));
  }
}

TEST_CASE("upper: systems with U and U', and products, as in extended precision") {
  for (const Index n : {1, 2, 3, 8, 12, 13, 40}) {
    CAPTURE(n);
    Matrix U = definite(n, 2);
    REQUIRE(factor_upper(U));
    const samples::LongMatrix exact = U.triangularView<Eigen::Upper>().toDenseMatrix().cast<samples::Long>();
    const Vector y = samples::uniform(n, 1, 3);
    const double tolerance = 1e-12;
    Vector x = y;
    solve_upper(U, x);
    CHECK(double((exact * x.cast<samples::Long>() - y.cast<samples::Long>()).norm()) <= tolerance);
    x = y;
    solve_upper_transposed(U, x);
    CHECK(double((exact.transpose() * x.cast<samples::Long>() - y.cast<samples::Long>()).norm()) <= tolerance);
    const Matrix A = samples::uniform(n, n, 4);
    multiply(A, y, x);
    CHECK((x - A * y).norm() <= 1e-14 * double(n));
  }
}
