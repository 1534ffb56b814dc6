// Trust-region steps on their own, from points made of a small matrix: the region, the radius, the bounds.
#include <doctest/doctest.h>

#include <Eigen/Eigenvalues>
#include <cmath>
#include <string>

#include "fakes.hpp"
#include "marquardt/step/step.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

constexpr Form forms[] = {Form::triangle, Form::gram};

std::string name(SubproblemKind kind) {
  return kind == SubproblemKind::cholesky ? "cholesky" : kind == SubproblemKind::qr ? "qr" : "svd";
}

std::unique_ptr<Step> tr(SubproblemKind kind, const Box& feasible, const Options& options = {}, Vector D = Vector()) {
  return make_trust_region(options, feasible, kind, std::move(D));
}
std::unique_ptr<Step> tr(const Box& feasible, const Options& options = {}, Vector D = Vector()) {
  return tr(SubproblemKind::qr, feasible, options, std::move(D));
}

Options radius(double Delta) {
  Options options;
  options.initial_trust_radius = "number";
  options.initial_trust_radius_value = Delta;
  return options;
}

Options rule(const char* which, double ratio = 1) {
  Options options;
  options.initial_trust_radius = which;
  options.initial_trust_ratio = ratio;
  return options;
}

double first_radius(const Point& here, const Box& feasible, const Options& options) {
  const auto step = tr(feasible, options);
  step->start(here);
  return step->control();
}

Vector norms(const Matrix& A) { return A.colwise().norm().transpose(); }

bool strictly_inside(const Vector& x, const Box& box) {
  return (x.array() > box.lower.array()).all() && (x.array() < box.upper.array()).all();
}

// The largest fall of 1/2 ||A p + r||^2 within ||D p|| <= Delta, by bisection in the eigenbasis.
double best_decrease(const Matrix& A, const Vector& r, const Vector& D, double Delta) {
  const Matrix S = A * D.cwiseInverse().asDiagonal();
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(S.transpose() * S);
  const Vector c = eigen.eigenvectors().transpose() * (S.transpose() * r), w = eigen.eigenvalues();
  const auto step = [&](double alpha) { return Vector(-c.array() / (w.array() + alpha)); };
  double alpha = 0;
  if (step(0).norm() > Delta) {
    double low = 0, high = c.norm() / Delta;
    for (int k = 0; k < 200; ++k) {
      alpha = 0.5 * (low + high);
      (step(alpha).norm() > Delta ? low : high) = alpha;
    }
  }
  const Vector p = step(alpha);
  return -c.dot(p) - 0.5 * p.dot(w.cwiseProduct(p));
}

// A point with radius 1 and full step 10 (at the edge), or full step 0.1 (well inside).
struct Ready {
  explicit Ready(double full_step, Options options = radius(1))
      : here(point_of(Matrix::Identity(1, 1), vector({-full_step}), vector({5}))), step(tr(Box::infinite(1), options)) {
    step->start(here);
  }
  double after(double ratio) {
    step->judge(ratio, step->propose(here));
    return step->control();
  }
  Point here;
  std::unique_ptr<Step> step;
};

}  // namespace

// ------------------------------------------------------------------------------------------------ region

TEST_CASE("trust_region: the step is within the radius and nearly the best there") {
  Numbers numbers(61);
  for (const SubproblemKind kind : kinds) {
    for (const Form form : forms) {
      for (const double Delta : {1e-8, 1e-3, 0.1, 1.0, 1e3}) {
        for (const Index n : {1, 2, 5}) {
          CAPTURE(name(kind));
          CAPTURE(form == Form::gram);
          CAPTURE(Delta);
          CAPTURE(n);
          const Matrix A = numbers.matrix(n + 3, n);
          const Vector r = numbers.vector(n + 3), x = numbers.vector(n), D = norms(A);
          const Point here = point_of(A, r, x, form);
          const auto step = tr(kind, Box::infinite(n), radius(Delta));
          step->start(here);
          CHECK(step->control() == Delta);
          const Trial& trial = step->propose(here);
          CHECK(trial.usable);
          CHECK(trial.size <= Delta * (1 + 1e-12));
          CHECK(D.cwiseProduct(trial.p).norm() == doctest::Approx(trial.size).epsilon(1e-12));
          CHECK(trial.reference == doctest::Approx(D.cwiseProduct(x).norm()).epsilon(1e-12));
          CHECK(trial.x == x + trial.p);
          const double fall = -(A * trial.p).dot(r) - 0.5 * (A * trial.p).squaredNorm();
          CHECK(trial.predicted == doctest::Approx(fall).epsilon(1e-10));
          const double best = best_decrease(A, r, D, Delta);
          CHECK(trial.predicted <= best * (1 + 1e-10));
          CHECK(trial.predicted >= best * 0.99);
          const double full = D.cwiseProduct(A.householderQr().solve(r)).norm();
          CHECK(trial.cut == (full > Delta));
          if (trial.cut) CHECK(trial.size == doctest::Approx(Delta).epsilon(1e-12));
        }
      }
    }
  }
}

TEST_CASE("trust_region: a full step that fits is the Gauss-Newton step") {
  Numbers numbers(62);
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Matrix A = numbers.matrix(8, 4);
    const Vector r = numbers.vector(8);
    const Point here = point_of(A, r, Vector::Ones(4), form_for(kind));
    const auto step = tr(kind, Box::infinite(4), radius(1e6));
    step->start(here);
    const Trial& trial = step->propose(here);
    const Vector p = -A.householderQr().solve(r);
    CHECK((trial.p - p).norm() <= 1e-11 * p.norm());
    CHECK_FALSE(trial.cut);
    CHECK(step->rank() == 4);
  }
}

TEST_CASE("trust_region: dependent columns share the step and wide matrices have one") {
  Numbers numbers(63);
  Matrix twins = numbers.matrix(6, 3);
  twins.col(2) = twins.col(0);
  const Vector r = numbers.vector(6);
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Form form = form_for(kind);
    const Point here = point_of(twins, r, Vector::Ones(3), form);
    for (const double Delta : {0.01, 1e6}) {
      CAPTURE(Delta);
      const auto step = tr(kind, Box::infinite(3), radius(Delta));
      step->start(here);
      const Trial& trial = step->propose(here);
      CHECK(trial.p[0] == doctest::Approx(trial.p[2]));
      CHECK(trial.size <= Delta * (1 + 1e-12));
      CHECK(trial.predicted > 0);
    }
    const Matrix wide = numbers.matrix(2, 5);
    const Vector w = numbers.vector(2);
    const Point there = point_of(wide, w, Vector::Ones(5), form);
    const auto step = tr(kind, Box::infinite(5), radius(1e6));
    step->start(there);
    const Trial& trial = step->propose(there);
    CHECK((wide * trial.p + w).norm() <= 1e-9 * w.norm());  // as many unknowns as it takes to reach r = 0
    CHECK(trial.predicted == doctest::Approx(0.5 * w.squaredNorm()));
  }
}

TEST_CASE("trust_region: constants given for D shape the region") {
  Numbers numbers(64);
  const Matrix A = numbers.matrix(5, 2);
  const Vector D = vector({100, 0.01});
  const Point here = point_of(A, numbers.vector(5), vector({1, 1}));
  const auto step = tr(Box::infinite(2), radius(0.1), D);
  step->start(here);
  const Trial& trial = step->propose(here);
  CHECK(D.cwiseProduct(trial.p).norm() == doctest::Approx(trial.size));
  CHECK(trial.size <= 0.1 * (1 + 1e-12));
  CHECK(trial.reference == doctest::Approx(D.norm()));
}

// ------------------------------------------------------------------------------------------ first radius

TEST_CASE("trust_region: the first radius by hand") {
  // J = diag(3, 4), x = (2, 1), r = (1, 2): D = (3, 4), x_hat = (6, 4), g_hat = (1, 2), B = I
  const Point here = point_of(vector({3, 4}).asDiagonal(), vector({1, 2}), vector({2, 1}));
  const Box free = Box::infinite(2);
  const double scipy = std::sqrt(52.0), cauchy = std::sqrt(5.0);
  CHECK(first_radius(here, free, rule("scipy")) == doctest::Approx(scipy));
  CHECK(first_radius(here, free, rule("conngould")) == doctest::Approx(cauchy));
  CHECK(first_radius(here, free, rule("mix")) == doctest::Approx(std::sqrt(scipy * cauchy)));
  CHECK(first_radius(here, free, radius(0.37)) == doctest::Approx(0.37));
  CHECK(first_radius(here, free, rule("scipy", 0.1)) == doctest::Approx(0.1 * scipy));
  CHECK(first_radius(here, free, rule("conngould", 10)) == doctest::Approx(10 * cauchy));
}

TEST_CASE("trust_region: the first radius by hand in a box") {
  // as above with x0 >= 0: g = (3, 8), v0 = 2, d = (sqrt(2/3), 1/4), C = (3/3, 0)
  const Point here = point_of(vector({3, 4}).asDiagonal(), vector({1, 2}), vector({2, 1}));
  const Box half = box({0, -infinity}, {infinity, infinity});
  const double scipy = std::sqrt(22.0);            // x_hat = (2 sqrt(3/2), 4)
  const double cauchy = std::pow(10.0, 1.5) / 46;  // g_hat = (sqrt 6, 2), B = (6, 1)
  CHECK(first_radius(here, half, rule("scipy")) == doctest::Approx(scipy));
  CHECK(first_radius(here, half, rule("conngould")) == doctest::Approx(cauchy));
  CHECK(first_radius(here, half, rule("mix")) == doctest::Approx(std::sqrt(scipy * cauchy)));
  // a fixed variable has no part in it
  const Box fixed = box({-infinity, 1}, {infinity, 1});
  CHECK(first_radius(here, fixed, rule("scipy")) == doctest::Approx(6));
  CHECK(first_radius(here, fixed, rule("conngould")) == doctest::Approx(1));
}

TEST_CASE("trust_region: the first radius by the length of x is no less than a thousandth of the Cauchy step") {
  const Box free = Box::infinite(2);
  for (const Vector& x : {vector({0, 0}), vector({1e-12, 0})}) {
    const Point near_origin = point_of(Matrix::Identity(2, 2), vector({1, 2}), x);
    CHECK(first_radius(near_origin, free, rule("scipy")) == doctest::Approx(1e-3 * std::sqrt(5.0)));
  }
  const Point far = point_of(Matrix::Identity(2, 2), vector({1, 2}), vector({0.01, 0}));
  CHECK(first_radius(far, free, rule("scipy")) == doctest::Approx(0.01));
}

TEST_CASE("trust_region: a first radius that makes no sense becomes 1") {
  const Box free = Box::infinite(2);
  const Point origin = point_of(Matrix::Identity(2, 2), vector({1, 2}), vector({0, 0}));
  CHECK(first_radius(origin, free, rule("mix")) == 1);
  const Point flat = point_of(Matrix::Zero(2, 2), vector({1, 2}), vector({3, 4}));
  CHECK(first_radius(flat, free, rule("conngould")) == 1);
  const Point nowhere = point_of(Matrix::Zero(2, 2), vector({1, 2}), vector({0, 0}));
  CHECK(first_radius(nowhere, free, rule("scipy")) == 1);
}

TEST_CASE("trust_region: the first radius does not exceed the largest") {
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), vector({1000}));
  Options options;
  options.max_trust_radius = 3;
  CHECK(first_radius(here, Box::infinite(1), options) == 3);
}

TEST_CASE("trust_region: start forgets the column norms and the radius of before") {
  Numbers numbers(70);
  const Matrix A = numbers.matrix(6, 2);
  const Vector r = numbers.vector(6), x = vector({2, 1});
  const Point far = point_of(1e6 * A, r, x), here = point_of(A, r, x);
  const auto step = tr(Box::infinite(2));
  step->start(far);
  step->judge(-1, step->propose(far));
  step->start(here);
  CHECK(step->control() == doctest::Approx(norms(A).cwiseProduct(x).norm()));
}

// ------------------------------------------------------------------------------------------------ radius

TEST_CASE("trust_region: the radius rules at every threshold") {
  const double below = std::nextafter(0.25, 0.0), above = std::nextafter(0.75, 1.0);
  SUBCASE("a step at the edge: length 1") {
    for (const double bad : {not_a_number, -infinity, -1.0, 0.0, 1e-4, below}) {
      CAPTURE(bad);
      CHECK(Ready(10).after(bad) == doctest::Approx(0.25));
    }
    for (const double fair : {0.25, 0.5, 0.75}) {
      CAPTURE(fair);
      CHECK(Ready(10).after(fair) == doctest::Approx(1));
    }
    for (const double good : {above, 1.0, 50.0}) {
      CAPTURE(good);
      CHECK(Ready(10).after(good) == doctest::Approx(2));
    }
  }
  SUBCASE("a full step well inside: length 0.1") {
    CHECK(Ready(0.1).after(-1) == doctest::Approx(0.025));
    CHECK(Ready(0.1).after(0.5) == doctest::Approx(1));
    CHECK(Ready(0.1).after(1) == doctest::Approx(1));  // a good short step is no reason to grow
  }
  SUBCASE("a full step of more than half the radius") { CHECK(Ready(0.8).after(1) == doctest::Approx(1.6)); }
}

TEST_CASE("trust_region: all five numbers of the radius rules are options") {
  Options options = radius(1);
  options.tr_decrease_threshold = 0.1;
  options.tr_increase_threshold = 0.9;
  options.tr_increase_ratio = 5;
  options.tr_decrease_ratio = 0.5;
  CHECK(Ready(10, options).after(0.09) == doctest::Approx(0.5));
  CHECK(Ready(10, options).after(0.1) == doctest::Approx(1));
  CHECK(Ready(10, options).after(0.9) == doctest::Approx(1));
  CHECK(Ready(10, options).after(0.91) == doctest::Approx(5));
  options.max_trust_radius = 3;
  CHECK(Ready(10, options).after(0.91) == doctest::Approx(3));
}

TEST_CASE("trust_region: the limit is passed below the smallest radius") {
  Options options = radius(1);
  options.min_trust_radius = 0.01;
  Ready ready(10, options);
  int failures = 0;
  while (ready.step->limit() == Status::running && failures < 100) {
    CHECK(ready.step->control() >= 0.01);
    CHECK_FALSE(ready.step->exhausted());
    ready.after(-1);
    ++failures;
  }
  CHECK(failures == 4);  // 4^-4 < 0.01 < 4^-3
  CHECK(ready.step->limit() == Status::radius_limit);
}

TEST_CASE("trust_region: a step that rounds to nothing is not usable and exhausts the method") {
  const Vector x = vector({1e20});
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), x);
  const auto step = tr(Box::infinite(1));
  step->start(here);
  const Trial& trial = step->propose(here);
  CHECK_FALSE(trial.usable);
  CHECK(trial.x == x);
  step->judge(-1, trial);
  CHECK(step->exhausted());
  const Point near = point_of(Matrix::Identity(1, 1), vector({1}), vector({5}));
  step->start(near);
  CHECK_FALSE(step->exhausted());
}

TEST_CASE("trust_region: a rejection shortens the next step to within the new radius") {
  Numbers numbers(65);
  for (const SubproblemKind kind : kinds) {
    for (const bool bounded : {false, true}) {
      CAPTURE(name(kind));
      CAPTURE(bounded);
      const Box walls = {Vector::Constant(4, 0.5), Vector::Constant(4, 1.2)};
      const Point here = point_of(numbers.matrix(7, 4), numbers.vector(7), Vector::Ones(4), form_for(kind));
      const auto step = tr(kind, bounded ? walls : Box::infinite(4));
      step->start(here);
      double size = infinity;
      for (int time = 0; time < 8; ++time) {
        const Trial& trial = step->propose(here);
        CHECK(trial.size <= step->control() * (1 + 1e-12));
        CHECK(trial.size < size);
        CHECK(trial.predicted > 0);
        size = trial.size;
        step->judge(-1, trial);
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------ bounds

TEST_CASE("trust_region: admit moves strictly inside and not far") {
  const Box feasible = box({0, 0, -1e6, 2, -infinity, 0}, {1, 1, 1e6, 2, infinity, infinity});
  const auto step = tr(feasible);
  Vector x = vector({0, 1, -1e6, 7, 1e300, -5});
  step->admit(x);
  for (const Index j : {0, 1, 2, 5}) {
    CAPTURE(j);
    CHECK(x[j] > feasible.lower[j]);
    CHECK(x[j] < feasible.upper[j]);
  }
  CHECK(std::abs(x[0]) <= 1e-6);
  CHECK(std::abs(x[1] - 1) <= 1e-6);
  CHECK(std::abs(x[2] + 1e6) <= 1);
  CHECK(x[3] == 2);  // fixed
  CHECK(x[4] == 1e300);
  CHECK(x[5] <= 1e-6);
  Vector inside = vector({0.5, 0.5, 0, 2, 0, 1});
  const Vector before = inside;
  step->admit(inside);
  CHECK(inside == before);
  Vector anywhere = vector({-7, 1e9});
  tr(Box::infinite(2))->admit(anywhere);
  CHECK(anywhere == vector({-7, 1e9}));
}

TEST_CASE("trust_region: in a box every trial is strictly inside and promises a fall that it can keep") {
  Numbers numbers(66);
  int near_wall = 0;
  for (int time = 0; time < 100; ++time) {
    for (const SubproblemKind kind : kinds) {
      CAPTURE(time);
      CAPTURE(name(kind));
      const Index n = 1 + time % 4;
      const Matrix A = numbers.matrix(n + 3, n);
      const Vector r = 2 * numbers.vector(n + 3), x = numbers.vector(n);
      Box feasible = Box::infinite(n);
      for (Index j = 0; j < n; ++j) {
        feasible.lower[j] = x[j] - std::pow(10.0, numbers.between(-9, 0));
        feasible.upper[j] = x[j] + std::pow(10.0, numbers.between(-9, 0));
      }
      const double Delta = std::pow(10.0, numbers.between(-4, 2));
      const Point here = point_of(A, r, x, form_for(kind));
      const auto step = tr(kind, feasible, radius(Delta));
      step->start(here);
      const Trial& trial = step->propose(here);
      CHECK(trial.usable);
      CHECK(strictly_inside(trial.x, feasible));
      CHECK(trial.size <= Delta * (1 + 1e-12));
      CHECK(trial.predicted > 0);
      // the curvature of the bounds only lowers the promise
      const double fall = -(A * trial.p).dot(r) - 0.5 * (A * trial.p).squaredNorm();
      CHECK(trial.predicted <= fall * (1 + 1e-9) + 1e-15);
      for (Index j = 0; j < n; ++j) {
        const double width = feasible.upper[j] - feasible.lower[j];
        near_wall += std::min(trial.x[j] - feasible.lower[j], feasible.upper[j] - trial.x[j]) < 0.01 * width ? 1 : 0;
      }
    }
  }
  CHECK(near_wall > 30);
}

TEST_CASE("trust_region: fixed variables never move") {
  Numbers numbers(67);
  const Vector x = vector({0.1, 1.0 / 3, -5});
  const Box feasible = box({-0.5, 1.0 / 3, -infinity}, {0.2, 1.0 / 3, infinity});
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Point here = point_of(numbers.matrix(6, 3), numbers.vector(6), x, form_for(kind));
    const auto step = tr(kind, feasible);
    step->start(here);
    for (int time = 0; time < 5; ++time) {
      const Trial& trial = step->propose(here);
      CHECK(trial.x[1] == x[1]);
      CHECK(trial.p[1] == 0);
      CHECK(trial.usable);
      step->judge(-1, trial);
    }
  }
  const Point here = point_of(numbers.matrix(6, 3), numbers.vector(6), x);
  const auto still = tr({x, x});
  still->start(here);
  CHECK(still->optimality() == 0);
  CHECK_FALSE(still->propose(here).usable);
}

TEST_CASE("trust_region: optimality is the gradient weighted with the distance to the wall it points at") {
  const Point here = point_of(Matrix::Identity(3, 3), vector({3, -5, 2}), vector({0.5, 0.25, 0.5}));
  const auto at = [&](const Box& feasible) {
    const auto step = tr(feasible);
    step->start(here);
    return step->optimality();
  };
  CHECK(at(Box::infinite(3)) == 5);
  CHECK(at(box({0, 0, 0}, {1, 1, 1})) == doctest::Approx(5 * 0.75));
  CHECK(at(box({0, 0.25, 0}, {1, 0.25, 1})) == doctest::Approx(3 * 0.5));
}

TEST_CASE("trust_region: the steps do not depend on the units of x") {
  Numbers numbers(68);
  const Matrix A = numbers.matrix(8, 3);
  const Vector r = numbers.vector(8), x = vector({0.3, -0.4, 0.7}), units = vector({1.0 / 1024, 1, 65536});
  const Box feasible = {x.array() - 0.125, x.array() + 0.0625};
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Form form = form_for(kind);
    const Point here = point_of(A, r, x, form);
    const Point there = point_of(A * units.asDiagonal(), r, x.cwiseQuotient(units), form);
    for (const bool bounded : {false, true}) {
      const Box walls = bounded ? feasible : Box::infinite(3);
      const auto a = tr(kind, walls);
      const auto b = tr(kind, {walls.lower.cwiseQuotient(units), walls.upper.cwiseQuotient(units)});
      a->start(here);
      b->start(there);
      CHECK(b->control() == doctest::Approx(a->control()).epsilon(1e-12));
      CHECK((b->propose(there).p.cwiseProduct(units) - a->propose(here).p).norm() <= 1e-9 * a->propose(here).p.norm());
    }
  }
}

namespace {

void check_second_time(const Box& feasible) {
  Numbers numbers(69);
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Form form = form_for(kind);
    const Point here = point_of(numbers.matrix(12, 8), numbers.vector(12), Vector::Zero(8), form);
    const auto step = tr(kind, feasible);
    step->start(here);
    step->judge(-1, step->propose(here));
    step->adopt(here);
    step->judge(-1, step->propose(here));
    const NoMalloc guard;
    step->adopt(here);
    const Trial& trial = step->propose(here);
    step->judge(0.5, trial);
    step->propose(here);
  }
}

}  // namespace

TEST_CASE("trust_region: proposing and adopting again allocates nothing") { check_second_time(Box::infinite(8)); }

TEST_CASE("trust_region: proposing and adopting again in a box allocates nothing") {
  check_second_time({Vector::Constant(8, -0.05), Vector::Constant(8, 0.05)});
}
