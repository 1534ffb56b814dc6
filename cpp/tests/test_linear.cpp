// Linear least squares: against answers in extended precision, minimum norms, ranks, and the methods among themselves.
#include <doctest/doctest.h>

#include <Eigen/LU>
#include <cmath>
#include <stdexcept>
#include <string>
#include <tuple>

#include "fakes.hpp"
#include "marquardt/solve/linear.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

constexpr LinearMethod all[] = {LinearMethod::automatic, LinearMethod::qr, LinearMethod::cod, LinearMethod::svd,
                                LinearMethod::cholesky};
constexpr LinearMethod minimum_norm[] = {LinearMethod::automatic, LinearMethod::cod, LinearMethod::svd};
constexpr LinearMethod orthogonal[] = {LinearMethod::automatic, LinearMethod::qr, LinearMethod::cod, LinearMethod::svd};

std::string name(LinearMethod method) {
  switch (method) {
    case LinearMethod::automatic:
      return "automatic";
    case LinearMethod::qr:
      return "qr";
    case LinearMethod::cod:
      return "cod";
    case LinearMethod::svd:
      return "svd";
    case LinearMethod::cholesky:
      return "cholesky";
  }
  return "";
}

LinearFit fit(const Matrix& A, const Matrix& b, LinearMethod method) { return solve_linear(A, b, -1, method); }

// The solution of full-rank A x = b in the least-squares sense, refined in extended precision.
LongMatrix exact(const Matrix& A, const Matrix& b) {
  const LongMatrix L = A.cast<long double>();
  return (L.transpose() * L).fullPivLu().solve(L.transpose() * b.cast<long double>());
}

// The minimum-norm solution for A = B C, B of full column rank, C of full row rank.
LongMatrix minimum(const Matrix& B, const Matrix& C, const Matrix& b) {
  const LongMatrix L = C.cast<long double>();
  return L.transpose() * (L * L.transpose()).fullPivLu().solve(exact(B, b));
}

double error(const Matrix& x, const LongMatrix& truth) {
  return static_cast<double>((x.cast<long double>() - truth).norm() / truth.norm());
}

// Small whole numbers: products of such factors are exact in double precision.
Matrix whole(Numbers& numbers, Index rows, Index cols) { return (9 * numbers.matrix(rows, cols)).array().round(); }

}  // namespace

TEST_CASE("linear: a tall system of full rank by every method") {
  Numbers numbers(81);
  for (const auto& shape : std::vector<std::pair<Index, Index>>{{1, 1}, {6, 1}, {7, 4}, {5, 5}, {80, 9}}) {
    const Index m = shape.first, n = shape.second;
    for (const LinearMethod method : all) {
      CAPTURE(m);
      CAPTURE(n);
      CAPTURE(name(method));
      const Matrix A = numbers.matrix(m, n) + (m == n ? 3.0 : 0.0) * Matrix::Identity(m, n), b = numbers.matrix(m, 1);
      const LinearFit f = fit(A, b, method);
      CHECK(error(f.x, exact(A, b)) <= 1e-13);
      CHECK(f.rank == n);
      CHECK((f.residuals - (b - A * f.x)).norm() <= 1e-14 * (A.norm() * f.x.norm() + b.norm()));
    }
  }
}

TEST_CASE("linear: many right-hand sides are as many systems") {
  Numbers numbers(82);
  const Matrix A = numbers.matrix(9, 4), b = numbers.matrix(9, 6);
  for (const LinearMethod method : all) {
    CAPTURE(name(method));
    const LinearFit together = fit(A, b, method);
    REQUIRE(together.x.rows() == 4);
    REQUIRE(together.x.cols() == 6);
    REQUIRE(together.residuals.rows() == 9);
    REQUIRE(together.residuals.cols() == 6);
    for (Index k = 0; k < 6; ++k) {
      const LinearFit one = fit(A, b.col(k), method);
      CHECK((together.x.col(k) - one.x).norm() <= 1e-14 * one.x.norm());
    }
    CHECK(error(together.x, exact(A, b)) <= 1e-13);
  }
}

TEST_CASE("linear: three rows and two unknowns to the last digits") {
  Matrix A(3, 2), b(3, 1);
  A << 2, 3, 4, -1, 2, 1;
  b << 1, 2, 3;
  for (const LinearMethod method : all) {
    CAPTURE(name(method));
    const LinearFit f = fit(A, b, method);
    CHECK(std::abs(f.x(0, 0) - 20.0 / 31) <= 1e-15);
    CHECK(std::abs(f.x(1, 0) - 4.0 / 31) <= 1e-15);
    CHECK(f.residuals.squaredNorm() == doctest::Approx(98.0 / 31).epsilon(1e-14));
  }
}

TEST_CASE("linear: a quartic through sixteen points to fourteen digits") {
  const double y[] = {1, 3, 0, 1, 2, 4, 6, 7, 5, 5, 6, 7.2, 5.5, 4, 3.2, 5};
  // from rational arithmetic
  const double truth[] = {0.0023208650869254582, -0.08461679037336932, 0.9697320046439628, -3.3515882584477787,
                          4.320673076923077};
  Matrix A(16, 5), b(16, 1);
  for (Index i = 0; i < 16; ++i) {
    const double t = static_cast<double>(i + 1);
    A.row(i) << t * t * t * t, t * t * t, t * t, t, 1;
    b(i, 0) = y[i];
  }
  for (const LinearMethod method : orthogonal) {
    CAPTURE(name(method));
    const LinearFit f = fit(A, b, method);
    // the condition of A is 2.4e5: scaled columns lose fewer digits than that
    const double tolerance = method == LinearMethod::automatic || method == LinearMethod::qr ? 1e-14 : 1e-11;
    for (Index j = 0; j < 5; ++j) CHECK(std::abs(f.x(j, 0) / truth[j] - 1) <= tolerance);
    CHECK(f.residuals.squaredNorm() == doctest::Approx(17.164392266015717).epsilon(1e-12));
  }
}

TEST_CASE("linear: a wide system has the solution of least norm") {
  Numbers numbers(83);
  for (const LinearMethod method : minimum_norm) {
    for (const auto& shape : std::vector<std::pair<Index, Index>>{{1, 2}, {2, 5}, {6, 20}}) {
      const Index m = shape.first, n = shape.second;
      CAPTURE(name(method));
      CAPTURE(m);
      const Matrix A = numbers.matrix(m, n), b = numbers.matrix(m, 2);
      const LinearFit f = fit(A, b, method);
      CHECK(error(f.x, minimum(Matrix::Identity(m, m), A, b)) <= 1e-13);
      CHECK(f.residuals.norm() <= 1e-13 * b.norm());
      CHECK(f.rank == m);
    }
  }
}

TEST_CASE("linear: a rank-deficient system has the solution of least norm") {
  Numbers numbers(84);
  for (const LinearMethod method : minimum_norm) {
    for (const Index rank : {1, 2, 4}) {
      CAPTURE(name(method));
      CAPTURE(rank);
      const Matrix B = whole(numbers, 12, rank), C = whole(numbers, rank, 6), b = numbers.matrix(12, 1);
      const LinearFit f = fit(B * C, b, method);
      CHECK(f.rank == rank);
      CHECK(error(f.x, minimum(B, C, b)) <= 1e-12);
      CHECK(f.condition == infinity);
    }
  }
}

TEST_CASE("linear: a basic solution is as good a fit with undetermined variables at zero") {
  Numbers numbers(85);
  const Matrix B = whole(numbers, 10, 3), C = whole(numbers, 3, 5), A = B * C, b = numbers.matrix(10, 1);
  const LinearFit f = fit(A, b, LinearMethod::qr);
  CHECK(f.rank == 3);
  CHECK((f.x.array() == 0).count() == 2);
  CHECK(f.residuals.norm() == doctest::Approx(fit(A, b, LinearMethod::svd).residuals.norm()).epsilon(1e-12));
  CHECK((A.transpose() * f.residuals).norm() <= 1e-11 * A.norm() * b.norm());
}

TEST_CASE("linear: twin columns share and a zero column gets nothing") {
  Numbers numbers(86);
  const Vector a = numbers.vector(8);
  Matrix A(8, 3);
  A << a, a, Vector::Zero(8);
  for (const LinearMethod method : minimum_norm) {
    CAPTURE(name(method));
    const LinearFit f = fit(A, 3 * a, method);
    CHECK(f.rank == 1);
    CHECK(f.x(0, 0) == doctest::Approx(1.5));
    CHECK(f.x(1, 0) == doctest::Approx(1.5));
    CHECK(f.x(2, 0) == 0);
  }
}

TEST_CASE("linear: a zero matrix") {
  for (const LinearMethod method : orthogonal) {
    CAPTURE(name(method));
    const LinearFit f = fit(Matrix::Zero(4, 2), Matrix::Ones(4, 1), method);
    CHECK(f.rank == 0);
    CHECK(f.x == Matrix::Zero(2, 1));
    CHECK(f.residuals == Matrix::Ones(4, 1));
    CHECK(f.condition == infinity);
  }
}

TEST_CASE("linear: units of the variables do not count") {
  Numbers numbers(87);
  const Matrix A = numbers.matrix(9, 3), b = numbers.matrix(9, 1);
  const Vector units = vector({1e-12, 1, 1e12});
  const LongMatrix truth = exact(A, b);
  for (const LinearMethod method : {LinearMethod::automatic, LinearMethod::qr, LinearMethod::cholesky}) {
    CAPTURE(name(method));
    const LinearFit f = fit(A * units.asDiagonal(), b, method);
    CHECK(f.rank == 3);
    CHECK(error(units.asDiagonal() * f.x, truth) <= 1e-13);
  }
}

TEST_CASE("linear: units of the variables do not count where others are undetermined") {
  // two equal columns and a third in tiny units: the fit is exact all the same
  Numbers numbers(88);
  const Vector a = numbers.vector(7), b = numbers.vector(7);
  for (const double unit : {1.0, 1e-6, 1e-17, 1e-30}) {
    CAPTURE(unit);
    Matrix A(7, 3);
    A << a, a, unit * b;
    const Vector y = a + 5 * b;
    const LinearFit f = fit(A, y, LinearMethod::automatic);
    CHECK(f.rank == 2);
    CHECK(f.residuals.norm() <= 1e-12 * y.norm());
    CHECK(f.x(2, 0) * unit == doctest::Approx(5));
  }
}

TEST_CASE("linear: the condition is that of A with columns scaled to length 1") {
  Numbers numbers(89);
  const Matrix A = numbers.matrix(9, 3);
  const Vector lengths = A.colwise().norm().transpose();
  const Eigen::JacobiSVD<Matrix> svd(A * lengths.cwiseInverse().asDiagonal());
  const double truth = svd.singularValues()[0] / svd.singularValues()[2];
  for (const Vector& units : {vector({1, 1, 1}), vector({1e-3, 1, 1e3})}) {
    for (const LinearMethod method : all) {
      CAPTURE(name(method));
      CAPTURE(units[0]);
      const LinearFit f = fit(A * units.asDiagonal(), numbers.matrix(9, 1), method);
      CHECK(f.condition >= truth / 3);  // triangular factors tell it within a small factor
      CHECK(f.condition <= truth * 3);
    }
  }
}

TEST_CASE("linear: singular values come with the method of that name only") {
  Numbers numbers(90);
  const Matrix A = numbers.matrix(8, 3), b = numbers.matrix(8, 1);
  const LinearFit f = fit(A, b, LinearMethod::svd);
  CHECK((f.singular_values - Eigen::JacobiSVD<Matrix>(A).singularValues()).norm() <= 1e-14 * A.norm());
  for (const LinearMethod method : {LinearMethod::automatic, LinearMethod::qr, LinearMethod::cod}) {
    CHECK(fit(A, b, method).singular_values.size() == 0);
  }
}

TEST_CASE("linear: rcond decides what counts as undetermined") {
  Numbers numbers(91);
  const Vector a = numbers.vector(8), b = numbers.vector(8);
  Matrix A(8, 2);
  A << a, a + 1e-6 * b;
  for (const LinearMethod method : orthogonal) {
    CAPTURE(name(method));
    CHECK(solve_linear(A, b, -1, method).rank == 2);
    CHECK(solve_linear(A, b, 0, method).rank == 2);
    CHECK(solve_linear(A, b, 1e-9, method).rank == 2);
    const LinearFit rough = solve_linear(A, b, 1e-3, method);
    CHECK(rough.rank == 1);
    CHECK(rough.x.norm() <= 100);
  }
}

TEST_CASE("linear: cholesky refuses what it cannot do and names the way out") {
  Numbers numbers(92);
  const Vector a = numbers.vector(8), b = numbers.vector(8);
  Matrix twins(8, 2), near(8, 2);
  twins << a, a;
  near << a, a + 1e-9 * b;
  Matrix zero = numbers.matrix(8, 2);
  zero.col(1).setZero();
  for (const Matrix& A : {twins, near, zero, numbers.matrix(2, 4), Matrix(Matrix::Zero(3, 2))}) {
    const Matrix rhs = numbers.matrix(A.rows(), 1);
    try {
      fit(A, rhs, LinearMethod::cholesky);
      FAIL_CHECK("accepted");
    } catch (const std::invalid_argument& e) {
      const std::string text = e.what();
      CHECK(text.find("cholesky") != std::string::npos);
      CHECK(text.find("auto") != std::string::npos);
    }
  }
}

TEST_CASE("linear: a consistent system is solved and its residuals are rounding") {
  Numbers numbers(93);
  const Matrix A = numbers.matrix(30, 5), x = numbers.matrix(5, 3);
  for (const LinearMethod method : all) {
    CAPTURE(name(method));
    const LinearFit f = fit(A, A * x, method);
    CHECK((f.x - x).norm() <= 1e-13 * x.norm());
    CHECK(f.residuals.norm() <= 1e-13 * A.norm() * x.norm());
  }
}

TEST_CASE("linear: strided views are read as they are") {
  Numbers numbers(94);
  const Matrix big = numbers.matrix(20, 8), rhs = numbers.matrix(20, 4);
  const Matrix A = big.topLeftCorner(9, 3), b = rhs.bottomRightCorner(9, 2);
  for (const LinearMethod method : all) {
    CAPTURE(name(method));
    const LinearFit view = solve_linear(big.topLeftCorner(9, 3), rhs.bottomRightCorner(9, 2), -1, method);
    CHECK((view.x - fit(A, b, method).x).norm() <= 1e-14);
  }
}

namespace {

bool fit_with(const Matrix& A, const Matrix& b, const LinearTerms& terms, LinearFit& f) {
  return solve_linear(strided(A), strided(b), {}, terms, f);
}

}  // namespace

TEST_CASE("linear: refinement gives back the digits that a nearly deficient system costs") {
  // columns t^0 .. t^9 for t = 1 .. 40, all entries and all sums of them exact
  Matrix A(40, 10);
  for (Index i = 0; i < 40; ++i) {
    double power = 1;
    for (Index j = 0; j < 10; ++j, power *= static_cast<double>(i + 1)) A(i, j) = power;
  }
  const Vector x = vector({3, -1, 4, 1, -5, 9, 2, -6, 5, 3});
  const Matrix b = A * x;
  for (const LinearMethod method : {LinearMethod::automatic, LinearMethod::qr}) {
    const LinearFit f = fit(A, b, method);
    CHECK(f.condition > 1e5);
    CHECK(f.rank == 10);
    // in columns of length 1; unrefined the condition, 4e5, would leave eleven digits
    const Vector lengths = A.colwise().norm().transpose();
    CHECK(lengths.cwiseProduct(f.x.col(0) - x).norm() <= 1e-14 * lengths.cwiseProduct(x).norm());
  }
}

TEST_CASE("linear: one solver, many systems of any shape") {
  Numbers numbers(96);
  LinearSolver solver({});
  LinearFit f;
  for (const auto& shape : std::vector<std::pair<Index, Index>>{{9, 4}, {3, 8}, {700, 12}, {1, 1}, {0, 2}, {5, 5}}) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(m);
    const Matrix A = numbers.matrix(m, n), b = numbers.matrix(m, 2);
    CHECK(solver.solve(strided(A), strided(b), f));
    const LinearFit alone = fit(A, b, LinearMethod::automatic);
    CHECK(f.x == alone.x);
    CHECK(f.rank == alone.rank);
    CHECK(f.null_space == alone.null_space);
  }
}

TEST_CASE("linear: what is not finite is refused, wherever it stands") {
  Numbers numbers(97);
  for (const auto& [m, n] : std::vector<std::pair<Index, Index>>{{6, 3}, {3, 6}, {4, 4}}) {
    for (const double wild : {not_a_number, infinity}) {
      for (const LinearMethod method : all) {
        Matrix A = numbers.matrix(m, n), b = numbers.matrix(m, 1);
        LinearFit f;
        A(1, 2) = wild;
        CHECK_FALSE(LinearSolver({method, -1}).solve(strided(A), strided(b), f));
        A(1, 2) = 1;
        b(2, 0) = wild;
        CHECK_FALSE(LinearSolver({method, -1}).solve(strided(A), strided(b), f));
      }
    }
  }
}

TEST_CASE("linear: a null space of steps that change nothing") {
  Numbers numbers(98);
  for (const auto& [m, n, rank] : std::vector<std::tuple<Index, Index, Index>>{{9, 6, 3}, {4, 7, 4}, {4, 7, 2}}) {
    const Matrix A = whole(numbers, m, rank) * whole(numbers, rank, n);
    const LinearFit f = fit(A, numbers.matrix(m, 1), LinearMethod::automatic);
    REQUIRE(f.null_space.rows() == n);
    REQUIRE(f.null_space.cols() == n - rank);
    CHECK((A * f.null_space).norm() <= 1e-12 * A.norm() * f.null_space.norm());
    CHECK((f.null_space.transpose() * f.x).norm() <= 1e-12 * f.null_space.norm() * f.x.norm());
  }
}

TEST_CASE("linear: the triangle says what the rows said") {
  Numbers numbers(99);
  for (const auto& [m, n] : std::vector<std::pair<Index, Index>>{{12, 4}, {4, 4}, {3, 6}}) {
    for (const LinearMethod method : all) {
      if (method == LinearMethod::cholesky && m < n) continue;
      CAPTURE(name(method));
      const Matrix A = numbers.matrix(m, n);
      const Matrix T = fit(A, numbers.matrix(m, 1), method).triangle;
      CHECK((T.transpose() * T - A.transpose() * A).norm() <= 1e-13 * A.squaredNorm());
    }
  }
}

TEST_CASE("linear: weights, covariance, ridge, prior and constraints against their equations") {
  Numbers numbers(100);
  const Matrix A = numbers.matrix(11, 4), b = numbers.matrix(11, 2), C = numbers.matrix(2, 4), d = numbers.matrix(2, 2);
  LinearTerms terms;
  LinearFit f;
  terms.weights = (numbers.matrix(11, 1).array() + 2).matrix();
  terms.ridge = numbers.matrix(3, 4);
  terms.prior = numbers.matrix(4, 1);
  terms.constraints = C;
  terms.targets = d;
  REQUIRE(fit_with(A, b, terms, f));
  Matrix K = Matrix::Zero(6, 6), right(6, 2);
  const Matrix GG = terms.ridge.transpose() * terms.ridge, W = terms.weights.col(0).asDiagonal();
  K.topLeftCorner(4, 4) = A.transpose() * W * A + GG;
  K.topRightCorner(4, 2) = C.transpose();
  K.bottomLeftCorner(2, 4) = C;
  right << A.transpose() * W * b + GG * terms.prior * Matrix::Ones(1, 2), d;
  const Matrix truth = K.fullPivLu().solve(right).topRows(4);
  CHECK((f.x - truth).norm() <= 1e-12 * truth.norm());
  CHECK((C * f.x - d).norm() <= 1e-15 * 10);
  CHECK(f.rank == 4);

  LinearTerms general;
  const Matrix L = Matrix(numbers.matrix(11, 11).triangularView<Eigen::StrictlyLower>()) + 2 * Matrix::Identity(11, 11);
  general.covariance = L * L.transpose();
  REQUIRE(fit_with(A, b, general, f));
  const Matrix white = L.triangularView<Eigen::Lower>().solve(A), white_b = L.triangularView<Eigen::Lower>().solve(b);
  CHECK(error(f.x, exact(white, white_b)) <= 1e-11);
}

TEST_CASE("linear: terms that cannot be met are refused by name") {
  Numbers numbers(101);
  const Matrix A = numbers.matrix(5, 3), b = numbers.matrix(5, 1);
  LinearFit f;
  LinearTerms terms;
  terms.constraints = Matrix::Ones(2, 3);
  terms.targets = Matrix(2, 1);
  terms.targets << 1, 2;
  CHECK_THROWS_WITH_AS(fit_with(A, b, terms, f), doctest::Contains("constraints"), std::invalid_argument);
  LinearTerms singular;
  singular.covariance = Matrix::Ones(5, 5);
  CHECK_THROWS_WITH_AS(fit_with(A, b, singular, f), doctest::Contains("cov"), std::invalid_argument);
}

TEST_CASE("linear: columns at both ends of the range") {
  Numbers numbers(102);
  const Matrix A = numbers.matrix(9, 3), b = numbers.matrix(9, 1);
  const Vector units = vector({1e-200, 1, 1e200});
  const LinearFit f = fit(A * units.asDiagonal(), b, LinearMethod::automatic);
  CHECK(f.rank == 3);
  CHECK(error(units.asDiagonal() * f.x, exact(A, b)) <= 1e-14);
}
