// Levenberg-Marquardt steps on their own, from points made of a small matrix: the damped equations, the box, lambda.
#include <doctest/doctest.h>

#include <Eigen/LU>
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

std::unique_ptr<Step> lm(SubproblemKind kind, const Box& feasible, const Options& options = {}, Vector D = Vector()) {
  return make_levenberg_marquardt(options, feasible, kind, std::move(D));
}
std::unique_ptr<Step> lm(const Box& feasible, const Options& options = {}, Vector D = Vector()) {
  return lm(SubproblemKind::qr, feasible, options, std::move(D));
}

Vector norms(const Matrix& A) { return A.colwise().norm().transpose(); }

// H + lambda D^2 in higher precision
LongMatrix damped(const Matrix& A, const Vector& D, double lambda) {
  const LongMatrix J = A.cast<long double>();
  LongMatrix M = J.transpose() * J;
  M.diagonal() += static_cast<long double>(lambda) * D.cast<long double>().cwiseAbs2();
  return M;
}

Vector damped_step(const Matrix& A, const Vector& r, const Vector& D, double lambda) {
  const LongVector g = A.cast<long double>().transpose() * r.cast<long double>();
  return (-damped(A, D, lambda).fullPivLu().solve(g)).cast<double>();
}

double decrease(const Matrix& A, const Vector& r, const Vector& p) {
  return -(A * p).dot(r) - 0.5 * (A * p).squaredNorm();
}

}  // namespace

TEST_CASE("levenberg_marquardt: the step solves the damped equations") {
  Numbers numbers(41);
  for (const SubproblemKind kind : kinds) {
    for (const Form form : forms) {
      for (const double lambda : {1e-6, 1e-3, 1.0, 1e6}) {
        for (const Index n : {1, 3, 6}) {
          CAPTURE(name(kind));
          CAPTURE(form == Form::gram);
          CAPTURE(lambda);
          CAPTURE(n);
          Options options;
          options.lambda0 = lambda;
          const Matrix A = numbers.matrix(n + 4, n);
          const Vector r = numbers.vector(n + 4), x = numbers.vector(n);
          const Point here = point_of(A, r, x, form);
          const auto step = lm(kind, Box::infinite(n), options);
          step->start(here);
          CHECK(step->control() == lambda);
          const Trial& trial = step->propose(here);
          const Vector p = damped_step(A, r, norms(A), lambda);
          CHECK(trial.usable);
          CHECK_FALSE(trial.cut);
          CHECK((trial.p - p).norm() <= 1e-11 * p.norm());
          CHECK((trial.x - (x + p)).norm() <= 1e-11 * (p.norm() + x.norm()));
          CHECK(trial.predicted == doctest::Approx(decrease(A, r, p)).epsilon(1e-10));
          CHECK(trial.size == doctest::Approx(norms(A).cwiseProduct(p).norm()).epsilon(1e-11));
          CHECK(trial.reference == doctest::Approx(norms(A).cwiseProduct(x).norm()).epsilon(1e-12));
          CHECK(step->rank() == n);
        }
      }
    }
  }
}

TEST_CASE("levenberg_marquardt: a wide or deficient matrix has a finite step that solves the damped equations") {
  Numbers numbers(42);
  Matrix twins = numbers.matrix(6, 3);
  twins.col(2) = twins.col(0);
  for (const Matrix& A : {numbers.matrix(2, 5), twins}) {
    for (const SubproblemKind kind : kinds) {
      CAPTURE(name(kind));
      const Vector r = numbers.vector(A.rows()), x = Vector::Ones(A.cols());
      const Point here = point_of(A, r, x, form_for(kind));
      const auto step = lm(kind, Box::infinite(A.cols()));
      step->start(here);
      const Trial& trial = step->propose(here);
      const Vector p = damped_step(A, r, norms(A), 1e-3);
      CHECK(trial.usable);
      CHECK((trial.p - p).norm() <= 1e-8 * p.norm());
      CHECK(step->rank() == 2);
    }
  }
}

TEST_CASE("levenberg_marquardt: D is the running maximum of the column norms") {
  Numbers numbers(43);
  const Matrix A = numbers.matrix(6, 2);
  Matrix B = A;
  B.col(0) *= 0.1;
  B.col(1) *= 10;
  const Vector r = numbers.vector(6), x = Vector::Ones(2);
  const auto step = lm(Box::infinite(2));
  const Point first = point_of(A, r, x), second = point_of(B, r, x);
  step->start(first);
  step->adopt(second);
  const Vector D = vector({A.col(0).norm(), B.col(1).norm()});
  const Vector p = damped_step(B, r, D, step->control());
  CHECK((step->propose(second).p - p).norm() <= 1e-12 * p.norm());
}

TEST_CASE("levenberg_marquardt: constants given for D are kept") {
  Numbers numbers(44);
  const Matrix A = numbers.matrix(6, 2);
  const Vector r = numbers.vector(6), x = vector({3, 4}), D = vector({0.5, 20});
  Options options;
  options.lambda0 = 0.3;
  const auto step = lm(Box::infinite(2), options, D);
  const Point first = point_of(100 * A, r, x), here = point_of(A, r, x);
  step->start(first);
  step->adopt(here);
  const Vector p = damped_step(A, r, D, 0.3);
  const Trial& trial = step->propose(here);
  CHECK((trial.p - p).norm() <= 1e-12 * p.norm());
  CHECK(trial.reference == doctest::Approx(std::hypot(1.5, 80)));
}

TEST_CASE("levenberg_marquardt: a zero column leaves its variable alone") {
  Numbers numbers(45);
  Matrix A = numbers.matrix(5, 3);
  A.col(1).setZero();
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Point here = point_of(A, numbers.vector(5), Vector::Ones(3), form_for(kind));
    const auto step = lm(kind, Box::infinite(3));
    step->start(here);
    const Trial& trial = step->propose(here);
    CHECK(trial.x[1] == 1);
    CHECK(trial.p.allFinite());
    CHECK(trial.predicted > 0);
  }
}

// ------------------------------------------------------------------------------------------------- boxes

TEST_CASE("levenberg_marquardt: in a box the step is the minimiser of the damped model and lies on its walls exactly") {
  Numbers numbers(46);
  int at_walls = 0;
  for (int time = 0; time < 60; ++time) {
    for (const SubproblemKind kind : kinds) {
      CAPTURE(time);
      CAPTURE(name(kind));
      const Index n = 1 + time % 5;
      const Matrix A = numbers.matrix(n + 3, n);
      const Vector r = numbers.vector(n + 3), x = numbers.vector(n);
      Box feasible = Box::infinite(n);
      for (Index j = 0; j < n; ++j) {
        feasible.lower[j] = x[j] - numbers.between(0, 0.3);
        feasible.upper[j] = x[j] + numbers.between(0, 0.3);
      }
      if (time % 3 == 0) feasible.lower[0] = x[0];  // a start on a wall
      Options options;
      options.lambda0 = 0.01;
      const Point here = point_of(A, r, x, form_for(kind));
      const auto step = lm(kind, feasible, options);
      step->start(here);
      const Trial& trial = step->propose(here);
      CHECK(feasible.contains(trial.x));
      const Vector p = trial.x - x, D = norms(A);
      const Vector slope =
          (damped(A, D, 0.01) * p.cast<long double>() + (A.transpose() * r).cast<long double>()).cast<double>();
      for (Index j = 0; j < n; ++j) {
        CAPTURE(j);
        const double tolerance = 1e-10 * D[j] * r.norm();
        if (trial.x[j] == feasible.lower[j]) {
          CHECK(slope[j] >= -tolerance);
          ++at_walls;
        } else if (trial.x[j] == feasible.upper[j]) {
          CHECK(slope[j] <= tolerance);
          ++at_walls;
        } else {
          CHECK(std::abs(slope[j]) <= tolerance);
        }
      }
      CHECK(trial.predicted == doctest::Approx(decrease(A, r, p)).epsilon(1e-9));
      CHECK_FALSE(trial.cut);
    }
  }
  CHECK(at_walls > 60);
}

TEST_CASE("levenberg_marquardt: awkward walls are met to the last bit") {
  // x + (wall - x) is not the wall in floating point for these
  const Matrix A = Matrix::Identity(3, 3);
  const Vector x = vector({0.3, -1e8 / 3, 7e-9});
  const Box feasible = box({-infinity, -infinity, -infinity}, {1.0 / 3, 1e-3, 1.0 / 7});
  const Point here = point_of(A, vector({-10, -1e9, -10}), x);
  const auto step = lm(feasible);
  step->start(here);
  const Trial& trial = step->propose(here);
  CHECK(trial.x == feasible.upper);
  CHECK(trial.usable);
}

TEST_CASE("levenberg_marquardt: a step within the box is the free step") {
  Numbers numbers(47);
  const Matrix A = numbers.matrix(6, 3);
  const Vector r = numbers.vector(6), x = Vector::Zero(3);
  const Point here = point_of(A, r, x);
  const auto free = lm(Box::infinite(3)), boxed = lm({Vector::Constant(3, -100), Vector::Constant(3, 100)});
  free->start(here);
  boxed->start(here);
  CHECK(free->propose(here).x == boxed->propose(here).x);
}

TEST_CASE("levenberg_marquardt: fixed variables never move") {
  Numbers numbers(48);
  const Vector x = vector({0.1, 1.0 / 3, -5});
  const Box feasible = box({-0.5, 1.0 / 3, -infinity}, {0.2, 1.0 / 3, infinity});
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Matrix A = numbers.matrix(6, 3);
    const Vector r = numbers.vector(6);
    const Point here = point_of(A, r, x, form_for(kind));
    const auto step = lm(kind, feasible);
    step->start(here);
    for (int time = 0; time < 5; ++time) {
      const Trial& trial = step->propose(here);
      CHECK(trial.x[1] == x[1]);
      CHECK(trial.p[1] == 0);
      CHECK(feasible.contains(trial.x));
      step->judge(-1, trial);
    }
  }
  const Point here = point_of(numbers.matrix(6, 3), numbers.vector(6), x);
  const auto still = lm({x, x});
  still->start(here);
  CHECK(still->optimality() == 0);
  CHECK_FALSE(still->propose(here).usable);
}

TEST_CASE("levenberg_marquardt: admit projects into the box") {
  const auto step = lm(box({0, 0, 2, -infinity}, {1, 1, 2, infinity}));
  Vector x = vector({-3, 0.5, 7, 1e300});
  step->admit(x);
  CHECK(x == vector({0, 0.5, 2, 1e300}));
  x = vector({0, 1, 2, 0});
  step->admit(x);
  CHECK(x == vector({0, 1, 2, 0}));  // walls are part of the box
}

TEST_CASE("levenberg_marquardt: optimality is the projected gradient") {
  const Matrix A = Matrix::Identity(4, 4);
  const Vector g = vector({3, -5, 0.25, -2}), x = vector({0, 1, 0.5, 0.5});
  const auto at = [&](const Box& feasible) {
    const Point here = point_of(A, g, x);
    const auto step = lm(feasible);
    step->start(here);
    return step->optimality();
  };
  CHECK(at(Box::infinite(4)) == 5);
  CHECK(at(box({0, -9, -9, -9}, {9, 1, 9, 9})) == 2);                       // the two at their walls do not count
  CHECK(at(box({0, -9, -9, -9}, {9, 1, 9, 0.9})) == doctest::Approx(0.4));  // nearer to the wall than g is long
  CHECK(at(box({0, 1, 0.5, 0.5}, {9, 1, 0.5, 0.5})) == 0);
}

// ------------------------------------------------------------------------------------------------ lambda

TEST_CASE("levenberg_marquardt: lambda after a success follows the gain ratio") {
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), vector({5}));
  const std::vector<std::pair<double, double>> rule = {{1, 0.2}, {2, 0.2},      {100, 0.2},   {0.75, 0.875},
                                                       {0.5, 1}, {0.25, 1.125}, {0.1, 1.512}, {1e-9, 2}};
  for (const auto& entry : rule) {
    const double ratio = entry.first, factor = entry.second;
    CAPTURE(ratio);
    const auto step = lm(Box::infinite(1));
    step->start(here);
    step->judge(ratio, step->propose(here));
    CHECK(step->control() == doctest::Approx(1e-3 * factor).epsilon(1e-8));
    CHECK_FALSE(step->exhausted());
  }
}

TEST_CASE("levenberg_marquardt: lambda grows faster with every failure in a row and a success ends the row") {
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), vector({5}));
  for (const double failure : {-1.0, 0.0, not_a_number, -infinity}) {
    CAPTURE(failure);
    const auto step = lm(Box::infinite(1));
    step->start(here);
    double lambda = 1e-3;
    for (const double factor : {2, 4, 8, 16}) {
      step->judge(failure, step->propose(here));
      lambda *= factor;
      CHECK(step->control() == doctest::Approx(lambda));
    }
    step->judge(0.5, step->propose(here));
    CHECK(step->control() == doctest::Approx(lambda));
    step->judge(failure, step->propose(here));
    CHECK(step->control() == doctest::Approx(2 * lambda));
  }
}

TEST_CASE("levenberg_marquardt: adopting a point leaves lambda alone") {
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), vector({5}));
  const auto step = lm(Box::infinite(1));
  step->start(here);
  step->judge(-1, step->propose(here));
  step->adopt(here);
  CHECK(step->control() == doctest::Approx(2e-3));
}

TEST_CASE("levenberg_marquardt: lambda never becomes zero however long all goes well") {
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), vector({5}));
  const auto step = lm(Box::infinite(1));
  step->start(here);
  for (int time = 0; time < 2000; ++time) step->judge(1, step->propose(here));
  CHECK(step->control() > 0);
  step->judge(-1, step->propose(here));
  CHECK(step->propose(here).usable);
}

TEST_CASE("levenberg_marquardt: exhausted beyond the largest lambda") {
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), vector({5}));
  Options options;
  options.max_lambda = 1;
  const auto step = lm(Box::infinite(1), options);
  step->start(here);
  int failures = 0;
  while (!step->exhausted() && failures < 100) {
    CHECK(step->control() <= 1);
    CHECK(step->limit() == Status::running);
    step->judge(-1, step->propose(here));
    ++failures;
  }
  CHECK(step->control() > 1);
  CHECK(step->limit() == Status::damping_limit);
  CHECK(failures == 4);  // 1e-3 x 2 x 4 x 8 x 16 = 1.024
}

TEST_CASE("levenberg_marquardt: a step that rounds to nothing is not usable and exhausts the method") {
  const Vector x = vector({1e20});
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), x);
  const auto step = lm(Box::infinite(1));
  step->start(here);
  const Trial& trial = step->propose(here);
  CHECK_FALSE(trial.usable);
  CHECK(trial.x == x);
  step->judge(-1, trial);
  CHECK(step->exhausted());
}

TEST_CASE("levenberg_marquardt: start begins anew") {
  const Point far = point_of(Matrix::Identity(1, 1), vector({1}), vector({1e20}));
  const Point here = point_of(Matrix::Identity(1, 1), vector({1}), vector({5}));
  const auto step = lm(Box::infinite(1));
  step->start(far);
  step->judge(-1, step->propose(far));
  step->judge(-1, step->propose(far));
  REQUIRE(step->exhausted());
  step->start(here);
  CHECK(step->control() == 1e-3);
  CHECK_FALSE(step->exhausted());
  step->judge(-1, step->propose(here));
  CHECK(step->control() == doctest::Approx(2e-3));
}

TEST_CASE("levenberg_marquardt: start forgets the column norms of before") {
  Numbers numbers(51);
  const Matrix A = numbers.matrix(6, 2);
  const Vector r = numbers.vector(6), x = Vector::Ones(2);
  const Point far = point_of(1e6 * A, r, x), here = point_of(A, r, x);
  const auto step = lm(Box::infinite(2));
  step->start(far);
  step->start(here);
  const Vector p = damped_step(A, r, norms(A), 1e-3);
  CHECK((step->propose(here).p - p).norm() <= 1e-12 * p.norm());
}

TEST_CASE("levenberg_marquardt: a rejection shortens the next step") {
  Numbers numbers(49);
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Point here = point_of(numbers.matrix(7, 4), numbers.vector(7), Vector::Ones(4), form_for(kind));
    const auto step = lm(kind, Box::infinite(4));
    step->start(here);
    double size = infinity;
    for (int time = 0; time < 8; ++time) {
      const Trial& trial = step->propose(here);
      CHECK(trial.size < size);
      CHECK(trial.predicted > 0);
      size = trial.size;
      step->judge(-1, trial);
    }
  }
}

namespace {

void check_second_time(const Box& feasible) {
  Numbers numbers(50);
  for (const SubproblemKind kind : kinds) {
    CAPTURE(name(kind));
    const Form form = form_for(kind);
    const Point here = point_of(numbers.matrix(12, 8), numbers.vector(12), Vector::Zero(8), form);
    const auto step = lm(kind, feasible);
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

TEST_CASE("levenberg_marquardt: proposing and adopting again allocates nothing") {
  check_second_time(Box::infinite(8));
}

TEST_CASE("levenberg_marquardt: proposing and adopting again in a box allocates nothing") {
  check_second_time({Vector::Constant(8, -0.05), Vector::Constant(8, 0.05)});
}
