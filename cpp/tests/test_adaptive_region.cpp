// step/adaptive_region: the rules of its radius, steps in box and region against brute force, held variables.
#include <doctest/doctest.h>

#include <Eigen/QR>
#include <cmath>

#include "fakes.hpp"
#include "marquardt/step/step.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

std::unique_ptr<Step> adaptive(const Box& feasible, double radius = 0, const Vector& D = Vector()) {
  Options options;
  if (radius > 0) {
    options.initial_trust_radius = "number";
    options.initial_trust_radius_value = radius;
  }
  return make_adaptive_region(options, feasible, SubproblemKind::qr, D);
}

// 1/2 ||r + A p||^2
double model(const Point& here, const Vector& p) { return 0.5 * (here.r + here.J.view() * p).squaredNorm(); }

}  // namespace

TEST_CASE("adaptive region: the Gauss-Newton step where nothing stands in the way") {
  Numbers numbers(1);
  const Matrix A = numbers.matrix(7, 3);
  const Point here = point_of(A, numbers.vector(7), numbers.vector(3));
  const auto step = adaptive(Box::infinite(3), 100);
  step->start(here);
  const Trial& trial = step->propose(here);
  const Vector full = -A.colPivHouseholderQr().solve(here.r);
  CHECK(trial.usable);
  CHECK_FALSE(trial.cut);
  CHECK((trial.p - full).norm() <= 1e-12 * full.norm());
  CHECK(trial.predicted == doctest::Approx(here.cost - model(here, full)));
}

TEST_CASE("adaptive region: in box and region no step promises more") {
  int boxed = 0;
  for (unsigned seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Numbers numbers(seed);
    const Matrix A = numbers.matrix(6, 4);
    const Vector x = 0.3 * numbers.vector(4);
    const Point here = point_of(A, 3 * numbers.vector(6), x);
    const Box feasible{Vector::Constant(4, -0.4), Vector::Constant(4, 0.4)};
    const double radius = 0.2 + 0.02 * seed;
    const auto step = adaptive(feasible, radius, Vector::Ones(4));
    step->start(here);
    const Trial& trial = step->propose(here);
    REQUIRE(trial.usable);
    CHECK(feasible.contains(trial.x));
    CHECK((trial.x - here.x).norm() <= radius * 1.011);
    CHECK(trial.predicted == doctest::Approx(here.cost - model(here, trial.p)).epsilon(1e-9));
    boxed +=
        static_cast<int>(((trial.x - feasible.lower).array() == 0 || (trial.x - feasible.upper).array() == 0).any());
    // the radius is met to a tenth only where a wall is in the way
    for (int k = 0; k < 3000; ++k) {
      Vector p = radius * numbers.vector(4);
      if (p.norm() > 0.9 * radius) p *= 0.9 * radius / p.norm();
      p = (here.x + p).cwiseMax(feasible.lower).cwiseMin(feasible.upper) - here.x;
      CHECK(here.cost - model(here, p) <= trial.predicted * (1 + 1e-9));
    }
  }
  CHECK(boxed >= 5);
}

TEST_CASE("adaptive region: variables on a wall that the gradient pushes against stay to the last bit") {
  Numbers numbers(5);
  const Matrix A = numbers.matrix(6, 3);
  const Vector x = vector({0.1, 0.2, 0.3});
  const Point here = point_of(A, numbers.vector(6), x);
  Box feasible = Box::infinite(3);
  // the wall is put where the gradient pushes
  (here.g()[1] > 0 ? feasible.lower : feasible.upper)[1] = x[1];
  const auto step = adaptive(feasible, 10);
  step->start(here);
  const Trial& trial = step->propose(here);
  CHECK(trial.x[1] == x[1]);
  CHECK(trial.predicted > 0);
  // the other two take the Gauss-Newton step of their own columns
  Matrix free(6, 2);
  free << A.col(0), A.col(2);
  const Vector full = -free.colPivHouseholderQr().solve(here.r);
  CHECK(trial.p[0] == doctest::Approx(full[0]));
  CHECK(trial.p[2] == doctest::Approx(full[1]));
  CHECK(step->optimality() == doctest::Approx(std::max(std::abs(here.g()[0]), std::abs(here.g()[2]))));
}

TEST_CASE("adaptive region: fixed variables never move") {
  Numbers numbers(6);
  const Point here = point_of(numbers.matrix(6, 3), numbers.vector(6), vector({1, 2, 3}));
  Box feasible{vector({-10, 2, 2.9}), vector({10, 2, 3.1})};
  for (const double radius : {0.1, 10.0}) {
    const auto step = adaptive(feasible, radius);
    step->start(here);
    const Trial& trial = step->propose(here);
    CHECK(trial.x[1] == 2);
    CHECK(feasible.contains(trial.x));
  }
}

TEST_CASE("adaptive region: the first radius is the longer of x0 and the Cauchy step") {
  const Matrix A = Matrix::Identity(2, 2);
  const Point far = point_of(A, vector({0.3, 0.4}), vector({3, 4}));
  const Point near = point_of(A, vector({3, 4}), vector({0, 0}));
  for (const Point& here : {far, near}) {
    const auto step = adaptive(Box::infinite(2));
    step->start(here);
    CHECK(step->control() == doctest::Approx(5));  // J is the identity: the Cauchy step is r
  }
}

TEST_CASE("adaptive region: the radius quarters, trebles, and remembers what was too long") {
  Numbers numbers(8);
  const Point here = point_of(numbers.matrix(6, 3), 100 * numbers.vector(6), numbers.vector(3));
  const auto step = adaptive(Box::infinite(3), 1);
  step->start(here);
  const auto judge = [&](double ratio) {
    const Trial trial = step->propose(here);
    Value there;
    there.x = trial.x;
    there.r = here.r;
    there.cost = here.cost;
    step->learn(here, there);
    step->judge(ratio, trial);
    return step->control();
  };
  CHECK(judge(0.5) == doctest::Approx(1));
  CHECK(judge(0.9) == doctest::Approx(3));
  CHECK(judge(0.1) == doctest::Approx(0.75));
  CHECK(judge(0.9) == doctest::Approx(2.25));
  const double too_long = step->propose(here).size;
  CHECK(judge(-1) == doctest::Approx(too_long / 4));
  const double after = step->control();
  const Trial trial = step->propose(here);  // the way back, or a plain step: whichever, it may not regain everything
  step->judge(0.9, trial);
  CHECK(step->control() <= after * 3 * (1 + 1e-12));
  CHECK(step->control() >= after);
}

TEST_CASE("adaptive region: a trial without a finite value takes two thirds of the radius") {
  Numbers numbers(9);
  const Point here = point_of(numbers.matrix(6, 3), 100 * numbers.vector(6), numbers.vector(3));
  const auto step = adaptive(Box::infinite(3), 1);
  step->start(here);
  const Trial trial = step->propose(here);
  step->judge(-1, trial);  // nothing was learnt
  CHECK(step->control() == doctest::Approx(1.0 / 3));
}

TEST_CASE("adaptive region: the secant's curvature saves evaluations where residuals do not vanish") {
  // Brown and Dennis: cost 42911 at the minimum, where Gauss-Newton converges slowly
  const auto r = [](const Vector& x, Vector& values) {
    values.resize(20);
    for (Index i = 0; i < 20; ++i) {
      const double t = 0.2 * static_cast<double>(i + 1);
      values[i] = std::pow(x[0] + t * x[1] - std::exp(t), 2) + std::pow(x[2] + x[3] * std::sin(t) - std::cos(t), 2);
    }
  };
  const auto jacobian = [](const Vector& x, Matrix& J) {
    J.resize(20, 4);
    for (Index i = 0; i < 20; ++i) {
      const double t = 0.2 * static_cast<double>(i + 1), a = 2 * (x[0] + t * x[1] - std::exp(t)),
                   b = 2 * (x[2] + x[3] * std::sin(t) - std::cos(t));
      J.row(i) << a, a * t, b, b * std::sin(t);
    }
  };
  FakeResidual residual(r, jacobian);
  FakeObserver observer;
  Options options;
  options.ftol = options.xtol = options.gtol = 0;
  options.max_nfev = 1000;
  const Method method{"auto", make_adaptive_region, SubproblemKind::qr};
  Solve solve(residual, method, options, Box::infinite(4), observer);
  CHECK(succeeded(solve.minimiser.run(vector({25, 5, -5, -1}))));
  CHECK(2 * solve.minimiser.best().cost == doctest::Approx(85822.2016263563).epsilon(1e-10));
  CHECK(solve.problem.counts().nfev < 60);  // Gauss-Newton's model alone needs several hundred
}

TEST_CASE("adaptive region: a parameter at the bottom of its own parabola is a success") {
  // r = x^2 + 5: J vanishes at the minimum, and with it every measure built on J
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual([](const Vector& x, Vector& r) { r = Vector::Constant(1, x[0] * x[0] + 5); },
                          [](const Vector& x, Matrix& J) { J = Matrix::Constant(1, 1, 2 * x[0]); });
    FakeObserver observer;
    Options options;
    options.ftol = options.xtol = options.gtol = 0;
    options.max_nfev = 1000;
    Solve solve(residual, method, options, box({-1}, {3}), observer);
    CHECK(succeeded(solve.minimiser.run(vector({2}))));
    CHECK(std::abs(solve.minimiser.best().x[0]) <= 2e-6);
    CHECK(solve.minimiser.active()[0] == 0);
  }
}
