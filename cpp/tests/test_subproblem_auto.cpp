// linalg/subproblem_auto and linalg/safe_rows: the cheapest form of rows and factorisation that is safe at a point.
#include <doctest/doctest.h>

#include <cmath>

#include "fakes.hpp"
#include "marquardt/linalg/safe_rows.hpp"
#include "marquardt/linalg/subproblem.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using namespace marquardt::fakes;
using samples::error;
using samples::exact_step;
using samples::uniform;

namespace {

// m x n with columns of length 1 and smallest singular value about `sigma`: the last column is nearly the mean of two.
Matrix nearly_dependent(Index m, Index n, double sigma, std::uint64_t seed) {
  Matrix J = uniform(m, n, seed);
  if (n > 1) J.col(n - 1) = J.leftCols(n - 1).rowwise().sum();
  for (int sweep = 0; sweep < 3; ++sweep) {  // towards the wanted sigma
    for (Index j = 0; j < n; ++j) J.col(j).normalize();
    Eigen::BDCSVD<Matrix> svd(J, Eigen::ComputeThinU | Eigen::ComputeThinV);
    Vector values = svd.singularValues();
    values[n - 1] = sigma;
    J = svd.matrixU() * values.asDiagonal() * svd.matrixV().transpose();
  }
  return J;
}

double smallest_scaled(Matrix J) {
  for (Index j = 0; j < J.cols(); ++j) J.col(j) /= J.col(j).stableNorm();
  return Eigen::BDCSVD<Matrix>(J).singularValues()[J.cols() - 1];
}

const Vector no_curvature(Index n) { return Vector::Zero(n); }

template <class Rows>  // SafeRows, kept or not
Reduced reduced(Rows&& safe_rows, const Matrix& J, const Vector& r) {
  Reduced rows;
  safe_rows.reduce(strided(J), r, rows);
  return rows;
}

}  // namespace

TEST_CASE("scaled sigma: from above, and within a factor 3, in either form and any units") {
  for (const Index n : {2, 3, 8, 30}) {
    for (const double sigma : {0.1, 1e-3, 1e-5}) {
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(n);
        CAPTURE(sigma);
        Matrix J = nearly_dependent(n + 7, n, sigma, seed);
        const double truth = smallest_scaled(J);
        for (Index j = 0; j < n; ++j) J.col(j) *= std::pow(10.0, static_cast<double>(7 * j % 13) - 6);
        for (const Form form : {Form::gram, Form::triangle}) {
          ScaledSigma estimate;
          const double found = estimate(samples::reduce(form, J, Vector::Zero(n + 7)));
          CHECK(found >= 0.99 * truth);
          CHECK(found <= 3 * truth);
        }
      }
    }
  }
}

TEST_CASE("scaled sigma: 0 of dependent or zero columns, of too few rows and of overflow, 1 of one column") {
  const auto of = [](const Matrix& J, Form form) {
    ScaledSigma estimate;
    return estimate(samples::reduce(form, J, Vector::Zero(J.rows())));
  };
  for (const Form form : {Form::gram, Form::triangle}) {
    CHECK(of(uniform(4, 1, 1) * 1e-100, form) == doctest::Approx(1));
    Matrix J = uniform(6, 3, 2);
    CHECK(of(J.topRows(2), form) == 0);
    J.col(1) = 2 * J.col(0);
    CHECK(of(J, form) < 1e-7);
    J.col(1).setZero();
    CHECK(of(J, form) == 0);
  }
  CHECK(of(uniform(6, 3, 3) * 1e170, Form::gram) == 0);
  CHECK(of(uniform(6, 3, 3) * 1e170, Form::triangle) > 0.01);
}

TEST_CASE("safe rows: Gram rows down to the limit, a triangle below it, and Gram again a digit above it") {
  const Index m = 20, n = 4;
  const Vector r = uniform(m, 1, 4);
  const auto with = [&](double sigma) { return nearly_dependent(m, n, sigma, 5); };
  SafeRows rows(n);
  CHECK(reduced(rows, with(0.3), r).form == Form::gram);
  CHECK(reduced(rows, with(4 * least_sigma), r).form == Form::gram);
  CHECK(reduced(rows, with(least_sigma / 4), r).form == Form::triangle);
  CHECK(reduced(rows, with(3 * least_sigma), r).form == Form::triangle);   // safe, but not clearly
  CHECK(reduced(rows, with(40 * least_sigma), r).form == Form::triangle);  // clearly: from the next point on
  CHECK(reduced(rows, with(40 * least_sigma), r).form == Form::gram);
  CHECK(reduced(rows, with(3 * least_sigma), r).form == Form::gram);
}

TEST_CASE("safe rows: what no Gram matrix can hold is a triangle") {
  const Vector r = uniform(6, 1, 6);
  Matrix J = uniform(6, 3, 7);
  CHECK(reduced(SafeRows(3), J, r).form == Form::gram);
  CHECK(reduced(SafeRows(3), J.topRows(2), r.head(2)).form == Form::triangle);
  CHECK(reduced(SafeRows(3), J * 1e160, r).form == Form::triangle);
  CHECK(reduced(SafeRows(3), J * 1e-170, r).form == Form::triangle);
  CHECK(reduced(SafeRows(3), J * Vector{{1e100, 1, 1e-100}}.asDiagonal(), r).form == Form::gram);
  J.col(2).setZero();
  CHECK(reduced(SafeRows(3), J, r).form == Form::triangle);
}

TEST_CASE("safe rows: bring sigma and the factor of J'J along") {
  const Index m = 15, n = 6;
  Matrix J = nearly_dependent(m, n, 1e-2, 22);
  for (Index j = 0; j < n; ++j) J.col(j) *= std::pow(10.0, 2 * static_cast<double>(j) - 5);
  const Vector r = uniform(m, 1, 23);
  const Reduced rows = reduced(SafeRows(n), J, r);
  REQUIRE(rows.form == Form::gram);
  const Reduced plain = samples::reduce(Form::gram, J, r);
  CHECK(plain.sigma < 0);
  ScaledSigma sigma;
  CHECK(rows.sigma == sigma(plain));
  const Matrix factor = rows.column_norms.asDiagonal() * Matrix(rows.L.triangularView<Eigen::Lower>());
  const Matrix difference =
      (factor * factor.transpose() - rows.H).cwiseQuotient(rows.column_norms * rows.column_norms.transpose());
  CHECK(difference.cwiseAbs().maxCoeff() < 1e-14);
}

TEST_CASE("automatic: a step by the factor that the rows bring is that without it, in any scaling, held or damped") {
  const Index m = 15, n = 6;
  const Matrix J = nearly_dependent(m, n, 1e-3, 24);
  const Vector r = uniform(m, 1, 25);
  const Reduced rows = reduced(SafeRows(n), J, r), plain = samples::reduce(Form::gram, J, r);
  for (const bool holds : {false, true}) {
    Vector d = uniform(n, 1, 26).cwiseAbs(), C = no_curvature(n);
    if (holds) {
      d[2] = 0;
      C[2] = 1;
    }
    Model with, without;
    with.set(rows, d, C);
    without.set(plain, d, C);
    const auto one = make_subproblem(SubproblemKind::automatic), other = make_subproblem(SubproblemKind::automatic);
    one->factor(with);
    other->factor(without);
    Vector p, q;
    for (const double alpha : {0.0, 1e-3, 0.0}) {
      REQUIRE(one->solve(alpha, p));
      REQUIRE(other->solve(alpha, q));
      CHECK((p - q).norm() <= 1e-9 * q.norm());
      CHECK(one->slope(p) == doctest::Approx(other->slope(q)).epsilon(1e-8));
    }
    CHECK(one->rank() == n);
  }
}

TEST_CASE("automatic: at the limit of Gram rows a step keeps five digits, damped or not") {
  const Index m = 15, n = 5;
  const Matrix J = nearly_dependent(m, n, 2 * least_sigma, 8);
  const Vector r = uniform(m, 1, 9);
  SafeRows rows(n);
  const Reduced safe = reduced(rows, J, r);
  REQUIRE(safe.form == Form::gram);
  Model model;
  model.set(safe, Vector::Ones(n), no_curvature(n));
  const auto automatic = make_subproblem(SubproblemKind::automatic);
  automatic->factor(model);
  CHECK(automatic->rank() == n);
  Vector p;
  for (const double alpha : {0.0, 1e-12, 1e-6, 1.0}) {
    REQUIRE(automatic->solve(alpha, p));
    CHECK(error(p, exact_step(J, r, no_curvature(n), alpha)) < 1e-5);
  }
}

TEST_CASE(
    "automatic: the rank of safe Gram rows is that of the rank-revealing QR, in any scaling, with held variables") {
  const Index m = 15, n = 5;
  for (const double sigma : {0.5, 1e-3, 2 * least_sigma, 1e-9}) {
    const Reduced rows = samples::reduce(Form::gram, nearly_dependent(m, n, sigma, 8), uniform(m, 1, 9));
    for (const double small : {1.0, 1e-5, 1e-9, 1e-20}) {
      for (const bool holds : {false, true}) {
        CAPTURE(sigma);
        CAPTURE(small);
        CAPTURE(holds);
        Vector d = Vector::Ones(n), C = no_curvature(n);
        d[1] = small;
        if (holds) {
          d[3] = 0;
          C[3] = 1;
        }
        Model model;
        model.set(rows, d, C);
        const auto automatic = make_subproblem(SubproblemKind::automatic), qr = make_subproblem(SubproblemKind::qr);
        automatic->factor(model);
        qr->factor(model);
        CHECK(automatic->rank() == qr->rank());
      }
    }
  }
}

TEST_CASE("automatic: a triangle gets QR at full rank and the SVD where rank is in doubt") {
  const Index m = 12, n = 6;
  const Vector r = uniform(m, 1, 10);
  const auto check = [&](const Matrix& J, SubproblemKind expected, Index rank) {
    const Reduced rows = samples::reduce(Form::triangle, J, r);
    Model model;
    model.set(rows, Vector::Ones(n), no_curvature(n));
    const auto automatic = make_subproblem(SubproblemKind::automatic), same = make_subproblem(expected);
    automatic->factor(model);
    same->factor(model);
    CHECK(automatic->rank() == rank);
    Vector p, q;
    for (const double alpha : {0.0, 1e-3}) {
      REQUIRE(automatic->solve(alpha, p));
      REQUIRE(same->solve(alpha, q));
      CHECK(p == q);  // to the last bit: nothing but a choice
      CHECK(automatic->slope(p) == same->slope(q));
    }
  };
  check(samples::with_singular_values(m, samples::spread(n, 1e2), 11), SubproblemKind::qr, n);
  check(samples::with_singular_values(m, samples::spread(n, 1e8), 11), SubproblemKind::qr, n);
  check(samples::with_singular_values(m, samples::spread(n, 1e12), 11), SubproblemKind::svd, n);
  Matrix J = uniform(m, n, 12);
  J.col(2) = J.col(4);
  check(J, SubproblemKind::svd, n - 1);
  check(Matrix::Zero(m, n), SubproblemKind::svd, 0);
}

TEST_CASE("automatic: Gram rows that nobody vouched for are safe still") {
  Matrix J = uniform(9, 4, 13);
  J.col(3) = J.col(0);
  const Vector r = uniform(9, 1, 14);
  const Reduced rows = samples::reduce(Form::gram, J, r);
  Model model;
  model.set(rows, Vector::Ones(4), no_curvature(4));
  const auto automatic = make_subproblem(SubproblemKind::automatic);
  automatic->factor(model);
  CHECK(automatic->rank() == 3);
  Vector p;
  REQUIRE(automatic->solve(0, p));
  CHECK(error(p, exact_step(J, r, no_curvature(4), 0)) < 1e-9);
}

TEST_CASE("automatic: another right-hand side, in each of its factorisations") {
  const Index n = 4;
  const Vector r = uniform(9, 1, 15), h = uniform(n, 1, 16);
  for (const Form form : {Form::gram, Form::triangle}) {
    const Matrix J = uniform(9, n, 17);
    const Reduced rows = samples::reduce(form, J, r);
    Model model;
    model.set(rows, Vector::Ones(n), no_curvature(n));
    const auto automatic = make_subproblem(SubproblemKind::automatic);
    automatic->factor(model);
    Vector p, q;
    REQUIRE(automatic->solve(0.5, p));
    REQUIRE(automatic->back_solve(h, q));
    CHECK((J.transpose() * (J * q) + 0.5 * q + h).norm() < 1e-12);
  }
}

TEST_CASE("automatic: nothing is allocated after the first points, whichever form they have") {
  const Index m = 12, n = 5;
  const Vector r = uniform(m, 1, 18), d = Vector::Ones(n), C = Vector::Zero(n);
  const Matrix safe = uniform(m, n, 19), steep = samples::with_singular_values(m, samples::spread(n, 1e7), 20),
               deficient = samples::with_singular_values(m, samples::spread(n, 1e16), 21);
  SafeRows safe_rows(n);
  Reduced rows;
  Model model;
  const auto automatic = make_subproblem(SubproblemKind::automatic);
  Vector p;
  const auto visit = [&](const Matrix& J) {
    safe_rows.reduce(strided(J), r, rows);
    model.set(rows, d, C);
    automatic->factor(model);
    for (const double alpha : {0.0, 0.1}) {
      CHECK(automatic->solve(alpha, p));
      CHECK(automatic->slope(p) <= 0);
    }
  };
  for (const Matrix* J : {&safe, &steep, &deficient, &safe, &safe}) visit(*J);
  const NoMalloc guard;
  for (const Matrix* J : {&safe, &steep, &deficient, &safe, &safe}) visit(*J);
}

TEST_CASE("problem: rows for the automatic subproblem are of the form that is safe at each point") {
  double sigma = 0.5;
  FakeResidual residual([](const Vector&, Vector& out) { out = uniform(10, 1, 22); },
                        [&](const Vector&, Matrix& J) { J = nearly_dependent(10, 3, sigma, 23); });
  FakeObserver host;
  Problem problem(residual, 3, SubproblemKind::automatic, host);
  Value value;
  Point point;
  problem.value(Vector::Ones(3), value);
  REQUIRE(problem.linearise(value, point));
  CHECK(point.rows.form == Form::gram);
  sigma = 1e-8;
  REQUIRE(problem.linearise(value, point));
  CHECK(point.rows.form == Form::triangle);
  CHECK((point.g() - point.J.view().transpose() * value.r).norm() < 1e-13);

  const auto form_of = [&](SubproblemKind kind) {
    Problem other(residual, 3, kind, host);
    REQUIRE(other.linearise(value, point));
    return point.rows.form;
  };
  CHECK(form_of(SubproblemKind::cholesky) == Form::gram);
  CHECK(form_of(SubproblemKind::qr) == Form::triangle);
  CHECK(form_of(SubproblemKind::svd) == Form::triangle);
}
