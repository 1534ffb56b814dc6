// linalg/subproblem: three factorisations, two forms of rows, one answer.
#include <doctest/doctest.h>

#include <Eigen/LU>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "marquardt/linalg/subproblem.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::error;
using samples::exact_step;
using samples::Long;
using samples::LongVector;
using samples::uniform;

namespace {

struct Solver {
  SubproblemKind kind;
  Form form;
  std::string name;
  // Digits are lost with the condition of A (1) or of A'A (2).
  int power() const { return kind == SubproblemKind::cholesky || form == Form::gram ? 2 : 1; }
};

const Solver solvers[] = {
    {SubproblemKind::cholesky, Form::gram, "cholesky, gram"},
    {SubproblemKind::cholesky, Form::triangle, "cholesky"},
    {SubproblemKind::qr, Form::gram, "qr, gram"},
    {SubproblemKind::qr, Form::triangle, "qr"},
    {SubproblemKind::svd, Form::gram, "svd, gram"},
    {SubproblemKind::svd, Form::triangle, "svd"},
};

// Rows, model and factorisation that live together.
struct Factored {
  Reduced rows;
  Model model;
  std::unique_ptr<Subproblem> subproblem;

  Factored(const Solver& solver, const Matrix& J, const Vector& r, const Vector& d, const Vector& C)
      : rows(samples::reduce(solver.form, J, r)), subproblem(make_subproblem(solver.kind)) {
    model.set(rows, d, C);
    subproblem->factor(model);
  }
  Factored(const Solver& solver, const Matrix& J, const Vector& r)
      : Factored(solver, J, r, Vector::Ones(J.cols()), Vector::Zero(J.cols())) {}
  Factored(const Factored&) = delete;
  Factored& operator=(const Factored&) = delete;
};

Long exact_length(const Matrix& A, const Vector& r, const Vector& C, double alpha) {
  return exact_step(A, r, C, alpha).norm();
}

}  // namespace

TEST_CASE("subproblem: steps match extended precision at every alpha and condition") {
  for (const Solver& solver : solvers) {
    CAPTURE(solver.name);
    for (const Index n : {1, 2, 7, 20}) {
      for (const double condition : {1.0, 1e3, 1e6}) {
        const Matrix J = samples::with_singular_values(n + 5, samples::spread(n, condition), 1);
        const Vector r = uniform(n + 5, 1, 2);
        Factored f(solver, J, r);
        Vector p;
        for (const double alpha : {0.0, 1e-10, 1e-3, 10.0, 1e12}) {
          CAPTURE(n);
          CAPTURE(condition);
          CAPTURE(alpha);
          REQUIRE(f.subproblem->solve(alpha, p));
          const double effective = n == 1 ? 1 : std::sqrt((1 + alpha) / (1 / (condition * condition) + alpha));
          // the residual outside the range of A costs a factor of the condition even for orthogonal methods
          CHECK(error(p, exact_step(J, r, Vector::Zero(n), alpha)) < 100 * epsilon * effective * effective);
          if (alpha >= 1e-3) CHECK(error(p, exact_step(J, r, Vector::Zero(n), alpha)) < 3e-13);
        }
      }
    }
  }
}

TEST_CASE("subproblem: with a small residual orthogonal methods lose only the condition, not its square") {
  const Index n = 6;
  const Matrix J = samples::with_singular_values(10, samples::spread(n, 1e9), 3);
  const Vector r = J * Vector::Ones(n);
  for (const Solver& solver : solvers) {
    if (solver.power() == 2) continue;
    CAPTURE(solver.name);
    Factored f(solver, J, r);
    Vector p;
    REQUIRE(f.subproblem->solve(0, p));
    CHECK(f.subproblem->rank() == n);
    CHECK(error(p, exact_step(J, r, Vector::Zero(n), 0)) < 100 * epsilon * 1e9);
  }
}

TEST_CASE("subproblem: curvature C and variables that must not move") {
  const Index n = 6;
  for (const Index m : {1, 4, 15}) {
    const Matrix J = uniform(m, n, 4);
    const Vector r = uniform(m, 1, 5);
    Vector d = uniform(n, 1, 6).cwiseAbs(), C = uniform(n, 1, 7).cwiseAbs();
    d[1] = 0;
    C[1] = 1;
    d[4] = 0;
    C[4] = 1;
    C[2] = 0;
    C[5] = 1e-4;
    const Matrix A = J * d.asDiagonal();
    for (const Solver& solver : solvers) {
      CAPTURE(solver.name);
      CAPTURE(m);
      Factored f(solver, J, r, d, C);
      Vector p;
      CHECK(f.subproblem->rank() == n);
      for (const double alpha : {0.0, 1e-6, 1.0}) {
        REQUIRE(f.subproblem->solve(alpha, p));
        CHECK(error(p, exact_step(A, r, C, alpha)) < 1e-9);
        CHECK(p[1] == 0);
        CHECK(p[4] == 0);
      }
    }
  }
}

TEST_CASE("subproblem: rank-deficient models get the minimum-norm step, and every alpha is safe") {
  struct Deficient {
    std::string name;
    Matrix J;
    Index rank;
  };
  std::vector<Deficient> cases;
  Matrix J = uniform(9, 5, 8);
  J.col(3) = J.col(1);
  cases.push_back({"duplicated column", J, 4});
  J.col(0).setZero();
  cases.push_back({"zero and duplicated column", J, 3});
  cases.push_back({"wide", uniform(3, 5, 9), 3});
  cases.push_back({"one row", uniform(1, 5, 10), 1});
  cases.push_back({"zero", Matrix::Zero(4, 5), 0});
  cases.push_back({"rank two of twenty", Matrix(uniform(30, 2, 11) * uniform(2, 20, 12)), 2});
  cases.push_back({"one zero column", Matrix::Zero(3, 1), 0});
  for (const Deficient& deficient : cases) {
    const Index n = deficient.J.cols();
    const Vector r = uniform(deficient.J.rows(), 1, 13);
    for (const Solver& solver : solvers) {
      CAPTURE(deficient.name);
      CAPTURE(solver.name);
      Factored f(solver, deficient.J, r);
      CHECK(f.subproblem->rank() == deficient.rank);
      Vector p;
      // 5e-324: the smallest number; 1e-30: below the rounding noise of A'A. Both are the minimum-norm step still.
      for (const double alpha : {0.0, 5e-324, 1e-200, 1e-30, 1e-3, 1.0, 1e300}) {
        CAPTURE(alpha);
        REQUIRE(f.subproblem->solve(alpha, p));
        const LongVector truth = exact_step(deficient.J, r, Vector::Zero(n), alpha < 1e-25 ? 0 : alpha);
        CHECK(error(p, truth) < 1e-9);
        CHECK(std::isfinite(f.subproblem->slope(p)));
        CHECK(f.subproblem->slope(p) <= 0);
      }
    }
  }
}

TEST_CASE("subproblem: columns of sizes 1e-6 to 1e6") {
  const Index n = 5;
  Matrix J = uniform(12, n, 14);
  const Vector r = uniform(12, 1, 15);
  const LongVector plain = exact_step(J, r, Vector::Zero(n), 0);
  Vector scale(n);
  scale << 1e6, 1, 1e-6, 1e3, 1e-4;
  J = J * scale.asDiagonal();
  for (const Solver& solver : solvers) {
    CAPTURE(solver.name);
    Factored f(solver, J, r);
    Vector p;
    REQUIRE(f.subproblem->solve(0, p));
    CHECK(f.subproblem->rank() == n);
    // an SVD mixes the columns and keeps their common digits only: 1e12 apart
    const double tolerance = solver.kind == SubproblemKind::svd ? 1e-3 : 1e-12;
    CHECK(error(p.cwiseProduct(scale), plain) < tolerance);
  }
}

TEST_CASE("subproblem: residuals and columns as large as 1e150 and as small as 1e-150") {
  const Index n = 4;
  const Matrix J = uniform(9, n, 16);
  const Vector r = uniform(9, 1, 17);
  for (const Solver& solver : solvers) {
    for (const double size : {1e150, 1e-150}) {
      CAPTURE(solver.name);
      CAPTURE(size);
      Factored f(solver, J * size, r * size);
      Vector p;
      REQUIRE(f.subproblem->solve(0, p));
      CHECK(error(p, exact_step(J, r, Vector::Zero(n), 0)) < 1e-12);
      REQUIRE(f.subproblem->solve(size * size, p));
      CHECK(error(p, exact_step(J, r, Vector::Zero(n), 1)) < 1e-12);
    }
  }
}

TEST_CASE("subproblem: slope is the derivative of the step's length") {
  const Index n = 5;
  for (const bool deficient : {false, true}) {
    Matrix J = uniform(9, n, 18);
    Vector C = uniform(n, 1, 19).cwiseAbs();
    if (deficient) {
      J.col(4) = J.col(2);
      C.setZero();
    }
    const Vector r = uniform(9, 1, 20), d = Vector::Constant(n, 0.5);
    const Matrix A = J * d.asDiagonal();
    for (const Solver& solver : solvers) {
      CAPTURE(solver.name);
      CAPTURE(deficient);
      Factored f(solver, J, r, d, C);
      Vector p;
      for (const double alpha : {0.0, 0.01, 1.0, 100.0}) {
        CAPTURE(alpha);
        REQUIRE(f.subproblem->solve(alpha, p));
        const double h = alpha > 0 ? 1e-4 * alpha : 1e-6;
        const auto length = [&](double a) { return exact_length(A, r, C, a); };
        // central, and at 0 one-sided, differences: both of second order
        const Long difference = alpha > 0 ? (length(alpha + h) - length(alpha - h)) / (2 * h)
                                          : (4 * length(h) - 3 * length(0) - length(2 * h)) / (2 * h);
        CHECK(f.subproblem->slope(p) == doctest::Approx(static_cast<double>(difference)).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("subproblem: a zero gradient is a zero step with no slope") {
  for (const Solver& solver : solvers) {
    Factored f(solver, uniform(5, 3, 21), Vector::Zero(5));
    Vector p;
    for (const double alpha : {0.0, 1.0}) {
      REQUIRE(f.subproblem->solve(alpha, p));
      CHECK(p == Vector::Zero(3));
      CHECK(f.subproblem->slope(p) == 0);
    }
  }
}

TEST_CASE("subproblem: one object serves models of different sizes") {
  for (const Solver& solver : solvers) {
    const auto subproblem = make_subproblem(solver.kind);
    for (const Index n : {3, 18, 2, 3}) {
      const Matrix J = uniform(n + 4, n, 22);
      const Vector r = uniform(n + 4, 1, 23);
      const Reduced rows = samples::reduce(solver.form, J, r);
      Model model;
      model.set(rows, Vector::Ones(n), Vector::Zero(n));
      subproblem->factor(model);
      Vector p;
      for (const double alpha : {0.0, 0.1}) {
        REQUIRE(subproblem->solve(alpha, p));
        CHECK(error(p, exact_step(J, r, Vector::Zero(n), alpha)) < 1e-10);
      }
    }
  }
}

TEST_CASE("subproblem: QR takes another rank tolerance") {
  Matrix J = uniform(8, 3, 24);
  J.col(2) = J.col(0) + 1e-5 * J.col(2);
  const Reduced rows = samples::reduce(Form::triangle, J, uniform(8, 1, 25));
  Model model;
  model.set(rows, Vector::Ones(3), Vector::Zero(3));
  const auto strict = make_qr(), loose = make_qr(1e-3);
  strict->factor(model);
  loose->factor(model);
  CHECK(strict->rank() == 3);
  CHECK(loose->rank() == 2);
  Vector p;
  REQUIRE(loose->solve(0, p));
  Matrix cut = J;
  cut.col(2) = cut.col(0);  // what remains once the third pivot is dropped
  CHECK(p.norm() < 10);
  CHECK(error(Vector(cut * p), Vector(J * p)) < 1e-4);
}

TEST_CASE("subproblem: the form that each is best fed with") {
  CHECK(form_for(SubproblemKind::cholesky) == Form::gram);
  CHECK(form_for(SubproblemKind::qr) == Form::triangle);
  CHECK(form_for(SubproblemKind::svd) == Form::triangle);
}

TEST_CASE("subproblem: allocates nothing after the first factor and solve of a size") {
  for (const Solver& solver : solvers) {
    CAPTURE(solver.name);
    for (const Index n : {1, 2, 3, 16}) {
      for (const bool deficient : {false, true}) {
        Matrix J = uniform(n + 4, n, 26);
        if (deficient) J.col(n - 1).setZero();
        Factored f(solver, J, uniform(n + 4, 1, 27), Vector::Ones(n), Vector::Constant(n, deficient ? 0.0 : 0.5));
        Vector p;
        for (const double alpha : {0.0, 0.5}) f.subproblem->slope((f.subproblem->solve(alpha, p), p));
        const NoMalloc guard;
        f.subproblem->factor(f.model);
        for (const double alpha : {0.0, 0.5, 0.0, 2.0}) {
          CHECK(f.subproblem->solve(alpha, p));
          CHECK(f.subproblem->slope(p) <= 0);
        }
      }
    }
  }
}

TEST_CASE("subproblem: another right-hand side is solved at the alpha of the last solve") {
  const Index n = 6;
  for (const Index m : {4, 15}) {
    const Matrix J = uniform(m, n, 31);
    const Vector r = uniform(m, 1, 32);
    Vector h = uniform(n, 1, 33), d = uniform(n, 1, 34).cwiseAbs(), C = Vector::Zero(n);
    d[2] = 0;
    C[2] = 1;
    h[2] = 0;  // of a variable that must not move
    const Matrix A = J * d.asDiagonal();
    for (const Solver& solver : solvers) {
      CAPTURE(solver.name);
      CAPTURE(m);
      Factored f(solver, J, r, d, C);
      Vector p, q;
      for (const double alpha : {1e-3, 1.0, 1e6, 0.0}) {
        CAPTURE(alpha);
        REQUIRE(f.subproblem->solve(alpha, p));
        if (alpha == 0 && m < n) {
          CHECK_FALSE(f.subproblem->back_solve(h, q));  // singular: nothing to solve with
          continue;
        }
        const double slope = f.subproblem->slope(p);
        REQUIRE(f.subproblem->back_solve(h, q));
        Matrix B = A.transpose() * A;
        B.diagonal() += C;
        B.diagonal().array() += alpha;
        CHECK((B * q + h).norm() <= 1e-9 * h.norm());
        CHECK(f.subproblem->slope(p) == slope);
        REQUIRE(f.subproblem->back_solve(f.model.gradient(), q));
        CHECK((p - q).norm() <= 1e-9 * p.norm());
      }
    }
  }
}
