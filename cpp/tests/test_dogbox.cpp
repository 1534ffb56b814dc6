// step/dogbox: the path against brute force, the rectangle to the last bit, and whole solves.
#include <doctest/doctest.h>

#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "fakes.hpp"
#include "marquardt/step/dogbox.hpp"
#include "marquardt/step/step.hpp"
#include "samples.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

std::unique_ptr<Step> dogbox_step(const Box& feasible, const Options& options = {}, Vector D = Vector(),
                                  SubproblemKind kind = SubproblemKind::qr) {
  return make_dogbox(options, feasible, kind, std::move(D));
}

Options radius(double Delta) {
  Options options;
  options.initial_trust_radius = "number";
  options.initial_trust_radius_value = Delta;
  return options;
}

Options rule(const char* which) {
  Options options;
  options.initial_trust_radius = which;
  return options;
}

Options tight() {
  Options options;
  options.ftol = options.xtol = options.gtol = 1e-10;
  options.max_nfev = 1000;
  return options;
}

double first_radius(const Point& here, const Box& feasible, const Options& options) {
  const auto step = dogbox_step(feasible, options);
  step->start(here);
  return step->control();
}

bool inside(const dogbox::Rectangle& rectangle, const Vector& p) {
  return (p.array() >= rectangle.lower.array()).all() && (p.array() <= rectangle.upper.array()).all();
}

double fall_of(const Matrix& A, const Vector& r, const Vector& p) { return -(A * p).dot(r + 0.5 * A * p); }

// A model of unscaled variables, with its rows.
struct Plain {
  Plain(const Matrix& A, const Vector& r, Form form = Form::triangle) : rows(samples::reduce(form, A, r)) {
    model.set(rows, Vector::Ones(A.cols()), Vector::Zero(A.cols()));
  }
  Reduced rows;
  Model model;
};

// The largest fall of 1/2 ||A p + r||^2 found at many points of the path 0 -> Cauchy -> Gauss-Newton in the rectangle.
double best_on_the_path(const Matrix& A, const Vector& r, const Vector& newton, const dogbox::Rectangle& rectangle) {
  const Vector g = A.transpose() * r;
  double most = 0;
  constexpr int points = 200;
  const auto leg = [&](const Vector& from, const Vector& to) {
    double low = 0, high = 1;
    for (int k = 0; k < 60; ++k) {  // where it leaves the rectangle, if it does: by bisection to the last bit
      const double t = k == 0 ? 1 : 0.5 * (low + high);
      (inside(rectangle, from + t * (to - from)) ? low : high) = t;
    }
    for (int k = 0; k <= points; ++k) most = std::max(most, fall_of(A, r, from + low * k / points * (to - from)));
    return Vector(from + low * (to - from));
  };
  leg(leg(Vector::Zero(g.size()), -g * (g.squaredNorm() / (A * g).squaredNorm())), newton);
  return most;
}

// A variable may still fall the cost: |g_j|, or nothing where a wall stands in the way.
double projected_gradient(const Point& here, const Box& feasible) {
  double most = 0;
  for (Index j = 0; j < here.x.size(); ++j) {
    const double g = here.g()[j], room = g > 0 ? here.x[j] - feasible.lower[j] : feasible.upper[j] - here.x[j];
    most = std::max(most, std::min(std::abs(g), room));
  }
  return most;
}

// A whole solve by this method.
struct Run {
  Run(Residual& residual, const Vector& x0, const Box& feasible, SubproblemKind kind = SubproblemKind::qr,
      const Options& options = tight())
      : step(make_dogbox(options, feasible, kind, Vector())),
        problem(residual, feasible.size(), form_for(kind), observer),
        minimiser(problem, *step, observer, options, feasible),
        status(minimiser.run(x0)) {}

  const Point& best() const { return minimiser.best(); }

  FakeObserver observer;
  std::unique_ptr<Step> step;
  Problem problem;
  Minimiser minimiser;
  Status status;
};

}  // namespace

// ------------------------------------------------------------------------------------------------- the path

TEST_CASE("dogbox: variables are held on a wall that their gradient points at") {
  const Box walls = box({0, 0, 0, 0, 0, 2, -infinity}, {1, 1, 1, 1, 1, 2, infinity});
  const Vector x = vector({0, 0, 0, 1, 1, 2, 5});
  Eigen::VectorXi held;
  dogbox::hold(x, vector({1, -1, 0, -1, 1, -3, 4}), walls, held);
  Eigen::VectorXi expected(7);
  expected << -1, 0, -1, 1, 0, -1, 0;
  CHECK(held == expected);
}

TEST_CASE("dogbox: the reach in a rectangle") {
  const dogbox::Rectangle square = {vector({-1, -2}), vector({1, infinity})};
  CHECK(dogbox::reach(square, vector({0, 0}), vector({2, 1})) == 0.5);
  CHECK(dogbox::reach(square, vector({0.5, 0}), vector({0.1, -4})) == 0.5);
  CHECK(dogbox::reach(square, vector({0, 0}), vector({0.5, 1e300})) == 1);
  CHECK(dogbox::reach(square, vector({1, 0}), vector({1, 0})) == 0);
  CHECK(dogbox::reach(square, vector({1, 0}), vector({0, 1})) == 1);
}

TEST_CASE("dogbox: the dogleg point is the lowest of its path") {
  Numbers numbers(301);
  int ended_early = 0, at_newton = 0, on_first_leg = 0;
  for (int time = 0; time < 60; ++time) {
    for (const Form form : {Form::triangle, Form::gram}) {
      CAPTURE(time);
      const Index n = 1 + time % 4;
      const Matrix A = numbers.matrix(n + 2, n);
      const Vector r = numbers.vector(n + 2), newton = -A.householderQr().solve(r);
      const double size = newton.cwiseAbs().maxCoeff();
      dogbox::Rectangle rectangle = {Vector(n), Vector(n)};
      for (Index j = 0; j < n; ++j) {
        rectangle.lower[j] = -size * numbers.between(0.01, 1.5);
        rectangle.upper[j] = size * numbers.between(0.01, 1.5);
      }
      const Plain plain(A, r, form);
      Vector p, leg;
      const bool full = dogbox::dogleg(plain.model, newton, rectangle, p, leg);
      CHECK(inside(rectangle, p));
      const double best = best_on_the_path(A, r, newton, rectangle);
      CHECK(fall_of(A, r, p) >= best * (1 - 1e-9));
      CHECK(fall_of(A, r, p) <= best * (1 + 1e-9));
      CHECK(full == inside(rectangle, newton));
      if (full) {
        CHECK(p == newton);
        ++at_newton;
      } else {  // it ends on a side, exactly
        CHECK(((p.array() == rectangle.lower.array()) || (p.array() == rectangle.upper.array())).any());
        ++ended_early;
        on_first_leg += fall_of(A, r, p) < 0.5 * fall_of(A, r, newton);
      }
    }
  }
  CHECK(at_newton > 10);
  CHECK(ended_early > 30);
  CHECK(on_first_leg > 5);
}

TEST_CASE("dogbox: without a Gauss-Newton point the path ends at the Cauchy point") {
  const Matrix A = vector({3, 1}).asDiagonal();
  const Vector r = vector({1, 1}), g = A.transpose() * r;
  const Plain plain(A, r);
  Vector p, leg;
  const dogbox::Rectangle wide = {Vector::Constant(2, -100), Vector::Constant(2, 100)};
  CHECK_FALSE(dogbox::dogleg(plain.model, Vector(), wide, p, leg));
  const Vector cauchy = -g * (g.squaredNorm() / (A * g).squaredNorm());
  CHECK((p - cauchy).norm() <= 1e-15);
  // no gradient: nowhere to go
  const Plain flat(A, vector({0, 0}));
  dogbox::dogleg(flat.model, Vector(), wide, p, leg);
  CHECK(p == Vector::Zero(2));
}

TEST_CASE("dogbox: the length to the Cauchy point survives extreme gradients") {
  for (const double size : {1e-200, 1e-100, 1.0, 1e100, 1e150}) {
    CAPTURE(size);
    const Plain plain(vector({3, 4}).asDiagonal(), size * vector({1, 1}));
    Vector u;  // g = size (3, 4); u'Bu = (9 * 9 + 16 * 16) / 25
    CHECK(dogbox::cauchy_length(plain.model, u) == doctest::Approx(size * 5 / (337.0 / 25)).epsilon(1e-14));
    CHECK(u[1] == doctest::Approx(-0.8).epsilon(1e-15));
  }
}

// ------------------------------------------------------------------------------------------------- one step

TEST_CASE("dogbox: steps are feasible to the last bit, within the radius, and fall at least as far as Cauchy's") {
  Numbers numbers(302);
  int walls_met = 0;
  for (int time = 0; time < 300; ++time) {
    CAPTURE(time);
    const Index n = 1 + time % 5;
    const Matrix A = numbers.matrix(n + 3, n);
    const Vector r = numbers.vector(n + 3), D = A.colwise().norm();
    Vector x = 3 * numbers.vector(n);
    Box walls = {x - Vector::Constant(n, 0.3) + 0.3 * numbers.vector(n),
                 x + Vector::Constant(n, 0.3) + 0.3 * numbers.vector(n)};
    if (time % 3 == 0) x[time % n] = (time % 2 ? walls.lower : walls.upper)[time % n];
    const double Delta = std::pow(10, numbers.between(-3, 1));
    const Point here = point_of(A, r, x);
    const auto step = dogbox_step(walls, radius(Delta));
    step->start(here);
    const Trial& trial = step->propose(here);
    CHECK(walls.contains(trial.x));
    CHECK(D.cwiseProduct(trial.p).lpNorm<Eigen::Infinity>() <= Delta * (1 + 1e-12));
    CHECK(trial.predicted == doctest::Approx(fall_of(A, r, trial.p)).epsilon(1e-9));
    CHECK((trial.x - x - trial.p).norm() <= 1e-14 * (1 + x.norm()));
    CHECK(trial.size == doctest::Approx(D.cwiseProduct(trial.p).norm()).epsilon(1e-12));
    CHECK(trial.reference == doctest::Approx(D.cwiseProduct(x).norm()).epsilon(1e-12));
    for (Index j = 0; j < n; ++j) {
      const double wall = trial.p[j] < 0 ? walls.lower[j] : walls.upper[j];
      if (trial.p[j] == 0 || std::abs(trial.x[j] - wall) > 1e-14 * (1 + std::abs(wall))) continue;
      CHECK(trial.x[j] == wall);
      ++walls_met;
    }
    // the constrained Cauchy step, found here by its definition
    Eigen::VectorXi held;
    dogbox::hold(x, here.g(), walls, held);
    const Vector down = (held.array() == 0).select(-here.g().array() / D.array().square(), 0.0);
    if (down.norm() == 0) continue;
    const double t = std::min({-here.g().dot(down) / (A * down).squaredNorm(), walls.reach(x, down),
                               Delta / D.cwiseProduct(down).lpNorm<Eigen::Infinity>()});
    CHECK(trial.predicted >= fall_of(A, r, t * down) * (1 - 1e-12));
  }
  CHECK(walls_met > 80);
}

TEST_CASE("dogbox: a step that fits is the Gauss-Newton step of the free variables, by each factorisation") {
  Numbers numbers(303);
  for (const SubproblemKind kind : kinds) {
    const Matrix A = numbers.matrix(8, 4);
    const Vector r = numbers.vector(8);
    const Point here = point_of(A, r, Vector::Ones(4), form_for(kind));
    Box walls = Box::infinite(4);
    (here.g()[2] > 0 ? walls.lower : walls.upper)[2] = 1;
    const auto step = dogbox_step(walls, radius(1e6), Vector(), kind);
    step->start(here);
    const Trial& trial = step->propose(here);
    Matrix rest(8, 3);
    rest << A.leftCols(2), A.col(3);
    const Vector p = -rest.householderQr().solve(r);
    CHECK((Vector(trial.p(Eigen::seqN(0, 2))) - p.head(2)).norm() <= 1e-11 * p.norm());
    CHECK(std::abs(trial.p[3] - p[2]) <= 1e-11 * p.norm());
    CHECK(trial.x[2] == 1);
    CHECK_FALSE(trial.cut);
    CHECK(step->rank() == 4);  // a variable at rest still has a column
    CHECK(step->optimality() ==
          doctest::Approx(std::max({std::abs(here.g()[0]), std::abs(here.g()[1]), std::abs(here.g()[3])})));
  }
}

TEST_CASE("dogbox: what the Gauss-Newton step pushes out of its wall does not stop the others") {
  // x1 stands on its lower wall, its gradient pulls it in (g1 < 0), but the full step would take it out.
  Matrix A(2, 2);
  A << 1, 2, 0, 1;
  const Vector full = vector({-1, 2}), r = -A * full;  // r = (-3, -2), g = (-3, -8)
  const Point here = point_of(A, r, vector({0, 0}));
  const Box walls = box({0, -10}, {10, 10});
  const auto step = dogbox_step(walls, radius(1e3), Vector::Ones(2));
  step->start(here);
  const Trial& trial = step->propose(here);
  CHECK(trial.x[0] == 0);
  CHECK(trial.x[1] == doctest::Approx(8.0 / 5).epsilon(1e-14));  // the minimiser on the wall
  CHECK(trial.predicted == doctest::Approx(6.4).epsilon(1e-14));
}

TEST_CASE("dogbox: dependent columns share the step, and wide matrices have one") {
  Numbers numbers(304);
  Matrix twins = numbers.matrix(6, 3);
  twins.col(2) = twins.col(0);
  const Vector r = numbers.vector(6);
  for (const SubproblemKind kind : kinds) {
    const Form form = form_for(kind);
    const Point here = point_of(twins, r, Vector::Ones(3), form);
    const auto step = dogbox_step(Box::infinite(3), radius(1e6), Vector(), kind);
    step->start(here);
    const Trial& trial = step->propose(here);
    CHECK(trial.p[0] == doctest::Approx(trial.p[2]));
    CHECK(step->rank() == 2);
    const Matrix wide = numbers.matrix(2, 5);
    const Vector w = numbers.vector(2);
    const Point there = point_of(wide, w, Vector::Ones(5), form);
    const auto other = dogbox_step(Box::infinite(5), radius(1e6), Vector(), kind);
    other->start(there);
    CHECK((wide * other->propose(there).p + w).norm() <= 1e-9 * w.norm());
  }
}

TEST_CASE("dogbox: nothing free is a step of nothing") {
  const Point here = point_of(Matrix::Identity(2, 2), vector({1, -1}), vector({0, 3}));
  const auto step = dogbox_step(box({0, 3}, {1, 3}));
  step->start(here);
  CHECK(step->optimality() == 0);
  const Trial& trial = step->propose(here);
  CHECK_FALSE(trial.usable);
  CHECK(trial.x == here.x);
  step->judge(-1, trial);
  CHECK(step->exhausted());
}

// ------------------------------------------------------------------------------------------------- the radius

TEST_CASE("dogbox: the first radius by hand") {
  // J = diag(3, 4), x = (2, 1), r = (1, 2): D = (3, 4), x_hat = (6, 4), g_hat = (1, 2), B = I; lengths are largest
  // components
  const Point here = point_of(vector({3, 4}).asDiagonal(), vector({1, 2}), vector({2, 1}));
  const Box free = Box::infinite(2);
  CHECK(first_radius(here, free, rule("scipy")) == doctest::Approx(6));
  CHECK(first_radius(here, free, rule("conngould")) == doctest::Approx(2));
  CHECK(first_radius(here, free, rule("mix")) == doctest::Approx(std::sqrt(12.0)));
  CHECK(first_radius(here, free, radius(0.37)) == 0.37);
  CHECK(first_radius(here, box({2, -infinity}, {2, infinity}), rule("scipy")) == doctest::Approx(4));
  const Point origin = point_of(Matrix::Identity(2, 2), vector({1, 2}), vector({0, 0}));
  CHECK(first_radius(origin, free, rule("scipy")) == doctest::Approx(2));
  const Point flat = point_of(Matrix::Zero(2, 2), vector({1, 2}), vector({0, 0}));
  CHECK(first_radius(flat, free, rule("scipy")) == 1);
}

TEST_CASE("dogbox: the radius rules") {
  // full steps of 10 (the radius of 1 ends them) and of 0.1 (it does not)
  const auto after = [](double full, double ratio, double wall = infinity, Options options = radius(1)) {
    const Point here = point_of(Matrix::Identity(1, 1), vector({-full}), vector({5}));
    const auto step = dogbox_step(box({-infinity}, {5 + wall}), options);
    step->start(here);
    step->judge(ratio, step->propose(here));
    return step->control();
  };
  for (const double bad : {not_a_number, -infinity, -1.0, 0.2499}) {
    CHECK(after(10, bad) == 0.25);
    CHECK(after(0.1, bad) == doctest::Approx(0.025));
  }
  CHECK(after(10, 0.5) == 1);
  CHECK(after(10, 0.76) == 2);
  CHECK(after(0.1, 0.76) == 1);      // not at the edge: no reason to grow
  CHECK(after(10, 0.76, 0.5) == 1);  // a wall is no edge
  Options options = radius(1);
  options.max_trust_radius = 1.5;
  CHECK(after(10, 1, infinity, options) == 1.5);
  options.min_trust_radius = 0.5;
  const Point here = point_of(Matrix::Identity(1, 1), vector({-10}), vector({5}));
  const auto step = dogbox_step(Box::infinite(1), options);
  step->start(here);
  CHECK(step->limit() == Status::running);
  step->judge(-1, step->propose(here));
  CHECK(step->limit() == Status::radius_limit);
}

// ------------------------------------------------------------------------------------------------- whole solves

TEST_CASE("dogbox: bounded Rosenbrock ends on the wall, from any start") {
  struct Start {
    Vector x0;
    Box walls;
    Vector solution;
  };
  const Box low = box({0, 0}, {0.8, 2});
  const std::vector<Start> starts = {
      {vector({0.5, 0.5}), low, vector({0.8, 0.64})},
      {vector({0, 1}), low, vector({0.8, 0.64})},
      {vector({0.8, 0.1}), low, vector({0.8, 0.64})},
      {vector({0, 0}), low, vector({0.8, 0.64})},
      {vector({0.8, 2}), low, vector({0.8, 0.64})},
      {vector({50, -70}), low, vector({0.8, 0.64})},
      {vector({-1.2, 1}), box({-infinity, -infinity}, {0.8, infinity}), vector({0.8, 0.64})},
      {vector({-1.2, 1}), box({-5, -5}, {5, 5}), vector({1, 1})},
      {vector({-1.2, 0.5}), box({-2, -2}, {1, 1}), vector({1, 1})},
      {vector({0.5, 1}), box({0.5, -2}, {0.5, 2}), vector({0.5, 0.25})},
      {vector({-1.2, 1}), Box::infinite(2), vector({1, 1})},
  };
  for (const Start& s : starts) {
    for (const SubproblemKind kind : kinds) {
      CAPTURE(s.x0[0]);
      CAPTURE(s.x0[1]);
      FakeResidual residual = rosenbrock();
      const Run run(residual, s.x0, s.walls, kind);
      CHECK(succeeded(run.status));
      CHECK((run.best().x - s.solution).norm() <= 1e-8);
      if (s.solution[0] == 0.8) CHECK(run.best().x[0] == 0.8);
      for (const Vector& x : residual.seen) CHECK(s.walls.contains(x));
    }
  }
}

TEST_CASE("dogbox: random bounded fits are first order when they say so") {
  Numbers numbers(305);
  const Vector t = Vector::LinSpaced(12, 0, 2);
  int walls = 0;
  for (int time = 0; time < 60; ++time) {
    CAPTURE(time);
    const Vector truth = vector({numbers.between(1, 3), numbers.between(0.5, 2), numbers.between(-1, 1)});
    const Vector y = (truth[0] * (-truth[1] * t).array().exp() + truth[2]).matrix() + 0.05 * numbers.vector(12);
    Box feasible = {truth - vector({0.5, 0.5, 0.5}), truth + vector({0.5, 0.5, 0.5})};
    const Index j = time % 3;
    (time % 2 ? feasible.upper : feasible.lower)[j] = truth[j] + (time % 2 ? -0.2 : 0.2);
    FakeResidual residual(
        [&](const Vector& x, Vector& r) { r = (x[0] * (-x[1] * t).array().exp() + x[2]).matrix() - y; },
        [&](const Vector& x, Matrix& J) {
          J.resize(12, 3);
          J.col(0) = (-x[1] * t).array().exp();
          J.col(1) = -x[0] * t.array() * J.col(0).array();
          J.col(2).setOnes();
        });
    const Run run(residual, 0.5 * (feasible.lower + feasible.upper), feasible, kinds[time % 3]);
    CHECK(succeeded(run.status));
    CHECK(projected_gradient(run.best(), feasible) <= 1e-6);
    for (const Vector& x : residual.seen) CHECK(feasible.contains(x));
    walls += run.minimiser.active().cwiseAbs().sum();
    for (Index k = 0; k < 3; ++k) {
      if (run.minimiser.active()[k] < 0) CHECK(run.best().x[k] == feasible.lower[k]);
      if (run.minimiser.active()[k] > 0) CHECK(run.best().x[k] == feasible.upper[k]);
    }
  }
  CHECK(walls > 40);
}

TEST_CASE("dogbox: linear problems in a box end at their exact solution") {
  // made backwards from x and multipliers: g > 0 on lower walls, < 0 on upper ones, 0 between
  Numbers numbers(306);
  for (int time = 0; time < 30; ++time) {
    CAPTURE(time);
    const Index n = 2 + time % 7;
    const Matrix A = numbers.matrix(2 * n, n);
    Vector x(n), g(n);
    for (Index j = 0; j < n; ++j) {
      const int side = static_cast<int>((j + time) % 3) - 1;
      x[j] = side < 0 ? 0 : side > 0 ? 1 : numbers.between(0.1, 0.9);
      g[j] = -side * numbers.between(0.1, 2);
    }
    const Vector b = A * x - A * (A.transpose() * A).ldlt().solve(g);
    FakeResidual residual = linear(A, b);
    const Box unit = {Vector::Zero(n), Vector::Ones(n)};
    const Run run(residual, Vector::Constant(n, 0.5), unit);
    CHECK(succeeded(run.status));
    CHECK((run.best().x - x).norm() <= 1e-8);
    for (Index j = 0; j < n; ++j) {
      if (g[j] != 0) CHECK(run.best().x[j] == x[j]);
    }
  }
}

TEST_CASE("dogbox: a trial that is not finite is a rejection") {
  for (const double bad : {not_a_number, infinity}) {
    // ln(x) - 3 from 0.1: the full step overshoots, beyond 50 nothing is defined
    FakeResidual residual(
        [bad](const Vector& x, Vector& r) { r = vector({x[0] > 50 || x[0] <= 0 ? bad : std::log(x[0]) - 3}); },
        [](const Vector& x, Matrix& J) { J = vector({1 / x[0]}); });
    const Run run(residual, vector({0.1}), Box::infinite(1));
    CHECK(succeeded(run.status));
    CHECK(run.best().x[0] == doctest::Approx(std::exp(3.0)).epsilon(1e-8));
  }
}

TEST_CASE("dogbox: rank-deficient problems in a box") {
  // only the sum of the first two counts, and one of them has a wall in its way
  const Vector t = Vector::LinSpaced(15, 0, 2);
  const Vector y = (-1.5 * t).array().exp() + 0.3;
  FakeResidual residual([&](const Vector& x, Vector& r) { r = (-(x[0] + x[1]) * t).array().exp() + x[2] - y.array(); },
                        [&](const Vector& x, Matrix& J) {
                          J.resize(15, 3);
                          J.col(0) = -t.array() * (-(x[0] + x[1]) * t).array().exp();
                          J.col(1) = J.col(0);
                          J.col(2).setOnes();
                        });
  for (const SubproblemKind kind : kinds) {
    const Box walls = box({0, 0, -1}, {0.5, 5, 1});
    const Run run(residual, vector({0.1, 0.4, 0}), walls, kind);
    CHECK(succeeded(run.status));
    CHECK(run.best().x[0] + run.best().x[1] == doctest::Approx(1.5).epsilon(1e-6));
    CHECK(run.step->rank() == 2);
  }
}

TEST_CASE("dogbox: with every variable fixed there is nothing to do") {
  FakeResidual still = rosenbrock();
  const Run run(still, vector({0, 0}), box({2, 5}, {2, 5}));
  CHECK(succeeded(run.status));
  CHECK(still.values == 1);
  CHECK(run.best().x == vector({2, 5}));
}
