// The loop: driven by a fake step that does as it is told, then with the real methods on problems with known answers.
#include <doctest/doctest.h>

#include <cmath>
#include <deque>
#include <optional>
#include <stdexcept>

#include "fakes.hpp"
#include "marquardt/solve/minimise.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

// No test of convergence at all: the loop runs until something else ends it.
Options endless() {
  Options options;
  options.ftol = options.xtol = options.gtol = options.stationarity = 0;
  options.polish = false;
  options.max_nfev = 1000;
  return options;
}

Options tight() {
  Options options;
  options.ftol = options.xtol = options.gtol = 1e-10;
  options.max_nfev = 500;
  return options;
}

// A solve driven by a fake step.
struct Driven {
  Driven(Residual& residual, FakeStep& step, const Options& options, Observer& observer, Index n = 1)
      : problem(residual, n, Form::triangle, observer), minimiser(problem, step, observer, options, Box::infinite(n)) {}

  Problem problem;
  Minimiser minimiser;
};

// r = x with a Jacobian of the wrong sign: every model promises a fall, and none comes.
FakeResidual lying() {
  return {[](const Vector& x, Vector& r) { r = x; }, [](const Vector&, Matrix& J) { J.setConstant(1, 1, -1); }};
}

// r = x, one variable: cost x^2 / 2
FakeResidual bowl() { return linear(Matrix::Identity(1, 1), Vector::Zero(1)); }

void uphill(const Point& here, Trial& trial) { go(trial, 2 * here.x, 1); }

// What must hold of every history, however the solve ended.
void check_history(const Minimiser& minimiser, const Problem& problem, const Options& options) {
  const std::deque<Record>& records = minimiser.history().records;
  REQUIRE(!records.empty());
  Index accepted = 0;
  for (std::size_t k = 0; k < records.size(); ++k) {
    const Record& now = records[k];
    CAPTURE(k);
    CHECK(std::isfinite(now.cost));
    CHECK(now.optimality >= 0);
    CHECK(now.grad_norm >= 0);
    if (k > 0) {
      const Record& before = records[k - 1];
      CHECK(now.nfev >= before.nfev);
      CHECK(now.njev >= before.njev);
      CHECK(now.cost <= before.cost * (1 + 1e-13));
      CHECK(now.iteration == before.iteration + (before.accepted ? 1 : 0));
      if (before.accepted && now.cost > 1e-30)
        CHECK(before.actual ==
              doctest::Approx(before.cost - now.cost).epsilon(1e-3 + 1e-13 * before.cost / std::abs(before.actual)));
    }
    if (now.accepted) {
      ++accepted;
      CHECK(now.step_norm >= 0);  // 0: along columns that were zero
      if (!std::isnan(
              now.predicted)) {  // a trial of the method's; what a search or the polishing found promised nothing
        CHECK(now.actual > 0);
        CHECK(now.ratio > 1e-4);
      }
    }
  }
  CHECK(records.back().iteration == minimiser.iterations());
  CHECK(accepted == minimiser.iterations());
  CHECK(records.back().cost == minimiser.best().cost);
  CHECK_FALSE(records.back().accepted);  // it would have had a successor
  CHECK(records.back().nfev <= problem.counts().nfev);
  CHECK(problem.counts().nfev <= options.max_nfev);
  if (options.keep_iterates) {
    REQUIRE(minimiser.history().iterates.size() == static_cast<std::size_t>(minimiser.iterations() + 1));
    CHECK(minimiser.history().iterates.back() == minimiser.best().x);
  }
}

void check_best(const Minimiser& minimiser) {
  const Point& best = minimiser.best();
  CHECK(best.cost == 0.5 * best.r.squaredNorm());
  CHECK((best.g() - best.J.view().transpose() * best.r).norm() <= 1e-12 * best.J.view().norm() * best.r.norm());
}

// First-order in a box, without units: free columns orthogonal to r, walls pushed against.
void check_first_order(const Point& here, const Box& feasible, double tolerance) {
  const Vector g = here.J.view().transpose() * here.r;
  for (Index j = 0; j < g.size(); ++j) {
    CAPTURE(j);
    const double norm = here.J.view().col(j).norm(), level = tolerance * norm * here.r.norm() + 1e-15;
    const double width = 1e-6 * std::max(1.0, std::abs(here.x[j]));
    if (feasible.fixed(j)) continue;
    if (here.x[j] - feasible.lower[j] <= width) {
      CHECK(g[j] >= -level);
    } else if (feasible.upper[j] - here.x[j] <= width) {
      CHECK(g[j] <= level);
    } else {
      CHECK(std::abs(g[j]) <= level);
    }
  }
}

}  // namespace

// ---------------------------------------------------------------------------------- the loop: rejections

TEST_CASE("minimise: rejected trials change nothing") {
  FakeResidual residual = bowl();
  FakeStep step(uphill);
  FakeObserver observer([&](const History&, const Point& here) {
    CHECK(here.x[0] == 1);
    CHECK(here.cost == 0.5);
    return step.proposals == 5 ? Status::stopped : Status::running;
  });
  Driven run(residual, step, endless(), observer);
  CHECK(run.minimiser.run(vector({1})) == Status::stopped);
  CHECK(step.starts == 1);
  CHECK(step.adopts == 0);
  CHECK(step.proposals == 5);
  CHECK(step.ratios == std::vector<double>(5, -1.5));  // fall 1/2 - 2, promised 1
  CHECK(residual.values == 6);
  CHECK(residual.jacobians == 1);
  CHECK(run.minimiser.best().x[0] == 1);
  CHECK(run.minimiser.best().r[0] == 1);
  CHECK(run.minimiser.iterations() == 0);
  CHECK(run.minimiser.linearised());
}

TEST_CASE("minimise: judge is called once a pass and adopt only after an acceptance") {
  FakeResidual residual = bowl();
  FakeStep step([&](const Point& here, Trial& trial) {
    const bool down = step.proposals % 3 == 0;  // two failures then a success
    go(trial, (down ? 0.5 : 1.5) * here.x, 0.375 * here.x[0] * here.x[0]);
  });
  FakeObserver observer([&](const History&, const Point&) {
    CHECK(step.ratios.size() == static_cast<std::size_t>(step.proposals));
    return step.proposals == 12 ? Status::stopped : Status::running;
  });
  Options options = endless();
  options.keep_iterates = true;
  Driven run(residual, step, options, observer);
  CHECK(run.minimiser.run(vector({64})) == Status::stopped);
  CHECK(step.ratios.size() == 12);
  CHECK(step.adopts == 4);
  CHECK(residual.jacobians == 5);
  CHECK(run.minimiser.iterations() == 4);
  const std::vector<Vector> path = {vector({64}), vector({32}), vector({16}), vector({8}), vector({4})};
  CHECK(step.adopted == path);
  CHECK(run.minimiser.history().iterates == path);
  for (std::size_t k = 0; k < 12; ++k) {
    CAPTURE(k);
    CHECK(step.ratios[k] == doctest::Approx(k % 3 == 2 ? 1 : -1.25 / 0.75));
    CHECK(run.minimiser.history().records[k].accepted == (k % 3 == 2));
  }
  check_history(run.minimiser, run.problem, options);
  check_best(run.minimiser);
}

TEST_CASE("minimise: a fall that is too small a share of the promise is rejected") {
  for (const bool enough : {false, true}) {
    CAPTURE(enough);
    FakeResidual residual = bowl();
    FakeStep step(
        [&](const Point& here, Trial& trial) { go(trial, 0.5 * here.x, 0.375 / (enough ? 1.01e-4 : 0.99e-4)); });
    FakeObserver observer(
        [&](const History&, const Point&) { return step.proposals == 1 ? Status::stopped : Status::running; });
    Driven run(residual, step, endless(), observer);
    run.minimiser.run(vector({1}));
    CHECK(run.minimiser.best().x[0] == (enough ? 0.5 : 1));
    REQUIRE(step.ratios.size() == 1);
    CHECK(step.ratios[0] > 0);
  }
}

TEST_CASE("minimise: a trial that is not usable is not evaluated and counts as a failure") {
  FakeResidual residual = bowl();
  FakeStep step([](const Point&, Trial& trial) {
    trial.usable = false;
    trial.size = trial.predicted = infinity;
  });
  FakeObserver observer(
      [&](const History&, const Point&) { return step.proposals == 3 ? Status::stopped : Status::running; });
  Driven run(residual, step, endless(), observer);
  CHECK(run.minimiser.run(vector({1})) == Status::stopped);
  CHECK(residual.values == 1);
  CHECK(step.ratios == std::vector<double>(3, -1));
  CHECK(run.minimiser.best().x[0] == 1);
}

TEST_CASE("minimise: a trial with residuals that are not finite is a failure and the solve goes on") {
  for (const double bad : {not_a_number, infinity, -infinity, 1e200}) {
    CAPTURE(bad);
    FakeResidual residual([&](const Vector& x, Vector& r) { r = vector({x[0] == 2 ? bad : x[0]}); },
                          [](const Vector&, Matrix& J) { J.setOnes(1, 1); });
    FakeStep step([&](const Point&, Trial& trial) { go(trial, vector({step.proposals == 1 ? 2 : 0.5}), 0.375); });
    FakeObserver observer(
        [&](const History&, const Point& here) { return here.x[0] == 0.5 ? Status::stopped : Status::running; });
    Driven run(residual, step, endless(), observer);
    CHECK(run.minimiser.run(vector({1})) == Status::stopped);
    REQUIRE(step.ratios.size() == 2);
    CHECK(step.ratios[0] == -1);
    CHECK(step.ratios[1] == doctest::Approx(1));
    CHECK(run.minimiser.history().records[0].actual == -infinity);
  }
}

TEST_CASE("minimise: a better point with a Jacobian that is not finite is a failure and the solve goes on") {
  FakeResidual residual([](const Vector& x, Vector& r) { r = x; },
                        [](const Vector& x, Matrix& J) { J.setConstant(1, 1, x[0] == 0.25 ? not_a_number : 1); });
  FakeStep step([&](const Point&, Trial& trial) { go(trial, vector({step.proposals == 1 ? 0.25 : 0.5}), 0.375); });
  FakeObserver observer([&](const History&, const Point& here) {
    CHECK(here.J.view().allFinite());
    CHECK(here.g() == here.r);
    return here.x[0] == 0.5 ? Status::stopped : Status::running;
  });
  Driven run(residual, step, endless(), observer);
  CHECK(run.minimiser.run(vector({1})) == Status::stopped);
  CHECK(step.ratios[0] == -1);
  CHECK(step.adopts == 1);
  CHECK_FALSE(run.minimiser.history().records[0].accepted);
  CHECK(run.minimiser.best().x[0] == 0.5);
}

// ------------------------------------------------------------------------------------------- bad starts

TEST_CASE("minimise: a start that is not finite ends at once") {
  for (const double bad : {not_a_number, infinity, 1e200}) {
    CAPTURE(bad);
    FakeResidual residual([&](const Vector&, Vector& r) { r = vector({1, bad}); },
                          [](const Vector&, Matrix& J) { J.setOnes(2, 1); });
    FakeStep step(uphill);
    FakeObserver observer;
    Driven run(residual, step, endless(), observer);
    CHECK(run.minimiser.run(vector({3})) == Status::not_finite_start);
    CHECK(residual.values == 1);
    CHECK(residual.jacobians == 0);
    CHECK(step.starts == 0);
    CHECK(observer.calls == 0);
    CHECK_FALSE(run.minimiser.linearised());
    CHECK(run.minimiser.best().x == vector({3}));
    CHECK(run.minimiser.best().r[0] == 1);
    CHECK(run.minimiser.best().cost == infinity);
  }
}

TEST_CASE("minimise: a Jacobian that is not finite at the start ends at once") {
  for (const double bad : {not_a_number, infinity}) {
    CAPTURE(bad);
    FakeResidual residual([](const Vector& x, Vector& r) { r = x; },
                          [&](const Vector&, Matrix& J) { J.setConstant(1, 1, bad); });
    FakeStep step(uphill);
    FakeObserver observer;
    Driven run(residual, step, endless(), observer);
    CHECK(run.minimiser.run(vector({3})) == Status::not_finite_jacobian);
    CHECK(residual.values == 1);
    CHECK(residual.jacobians == 1);
    CHECK(step.starts == 0);
    CHECK_FALSE(run.minimiser.linearised());
    CHECK(run.minimiser.best().x == vector({3}));
    CHECK(run.minimiser.best().cost == 4.5);
  }
}

TEST_CASE("minimise: the start is admitted by the method") {
  FakeResidual residual = bowl();
  FakeStep step(uphill);
  step.admission = [](Vector& x) { x[0] = 7; };
  FakeObserver observer([](const History&, const Point&) { return Status::stopped; });
  Driven run(residual, step, endless(), observer);
  const Vector x0 = vector({100});
  run.minimiser.run(x0);
  CHECK(step.admits == 1);
  REQUIRE(residual.seen.size() == 1);
  CHECK(residual.seen[0][0] == 7);
  CHECK(run.minimiser.best().x[0] == 7);
}

// ---------------------------------------------------------------------------------------- observer, host

TEST_CASE("minimise: the observer sees every pass before its trial and stops the solve") {
  for (const int last : {1, 2, 7}) {
    CAPTURE(last);
    FakeResidual residual = bowl();
    FakeStep step([](const Point& here, Trial& trial) { go(trial, 0.5 * here.x, 0.375 * here.x[0] * here.x[0]); });
    FakeObserver observer([&](const History& history, const Point& here) {
      CHECK(history.records.size() == static_cast<std::size_t>(observer.calls));
      CHECK(history.records.back().cost == here.cost);
      CHECK(std::isnan(history.records.back().ratio));
      CHECK(step.proposals == observer.calls - 1);
      return observer.calls == last ? Status::stopped : Status::running;
    });
    Driven run(residual, step, endless(), observer);
    CHECK(run.minimiser.run(vector({1})) == Status::stopped);
    CHECK(observer.calls == last);
    CHECK(step.proposals == last - 1);
    CHECK(run.minimiser.best().x[0] == std::ldexp(1.0, 1 - last));
  }
}

TEST_CASE("minimise: any status of the observer ends the solve with it") {
  for (const Status wanted : {Status::stopped, Status::time_limit, Status::interrupted}) {
    FakeResidual residual = bowl();
    FakeStep step(uphill);
    FakeObserver observer([&](const History&, const Point&) { return wanted; });
    Driven run(residual, step, endless(), observer);
    CHECK(run.minimiser.run(vector({1})) == wanted);
  }
}

TEST_CASE("minimise: success outranks a budget and a budget outranks the observer which sees the last pass too") {
  FakeResidual residual = bowl();
  FakeStep step([](const Point&, Trial& trial) { go(trial, vector({0}), 0.5); });
  FakeObserver observer(
      [](const History&, const Point& here) { return here.x[0] == 0 ? Status::stopped : Status::running; });
  Options options = endless();
  options.max_nfev = 2;
  {
    Driven run(residual, step, options, observer);
    CHECK(run.minimiser.run(vector({1})) == Status::zero_residual);
    CHECK(observer.calls == 2);
  }
  {
    FakeStep half([](const Point&, Trial& trial) { go(trial, vector({0.5}), 0.375); });
    FakeObserver always(
        [&](const History&, const Point& here) { return here.x[0] == 0.5 ? Status::stopped : Status::running; });
    Driven run(residual, half, options, always);
    CHECK(run.minimiser.run(vector({1})) == Status::max_evaluations);
    CHECK(always.calls == 2);
  }
}

TEST_CASE("minimise: the host is told of arithmetic in matched pairs and never during the user's functions") {
  FakeObserver observer;
  bool during = false;
  FakeResidual inner = rosenbrock();
  FakeResidual residual(
      [&](const Vector& x, Vector& r) {
        during = during || observer.begun != observer.ended;
        inner.value(x, r);
      },
      [&](const Vector& x, Matrix& J) {
        during = during || observer.begun != observer.ended;
        inner.fill(x, J);
      });
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    Solve solve(residual, method, tight(), Box::infinite(2), observer);
    solve.minimiser.run(vector({-1.2, 1}));
    CHECK(observer.begun > 10);
    CHECK(observer.begun == observer.ended);
    CHECK_FALSE(during);
  }
}

// ------------------------------------------------------------------------------------------------ budget

TEST_CASE("minimise: max_nfev is respected to the last evaluation") {
  for (Index budget = 1; budget <= 12; ++budget) {
    CAPTURE(budget);
    FakeResidual residual = bowl();
    FakeStep step(uphill);
    FakeObserver observer;
    Options options = endless();
    options.max_nfev = budget;
    Driven run(residual, step, options, observer);
    CHECK(run.minimiser.run(vector({1})) == Status::max_evaluations);
    CHECK(residual.values == budget);
    CHECK(run.problem.counts().nfev == budget);
  }
}

TEST_CASE("minimise: max_nfev is respected by every method and by the polishing") {
  for (const Method& method : methods()) {
    for (Index budget = 1; budget <= 25; ++budget) {
      CAPTURE(method.name);
      CAPTURE(budget);
      Numbers numbers(101);
      const Vector y = numbers.vector(10);
      FakeResidual residual(
          [&](const Vector& x, Vector& r) { r = (x[0] * Vector::LinSpaced(10, 0, 1)).array().exp() - 2 - y.array(); },
          [&](const Vector& x, Matrix& J) {
            const Vector t = Vector::LinSpaced(10, 0, 1);
            J = t.array() * (x[0] * t).array().exp();
          });
      Options options = tight();
      options.max_nfev = budget;
      FakeObserver observer;
      Solve solve(residual, method, options, Box::infinite(1), observer);
      const Status status = solve.minimiser.run(vector({3}));
      CHECK(residual.values <= budget);
      CHECK(residual.values == solve.problem.counts().nfev);
      CHECK(residual.jacobians == solve.problem.counts().njev);
      if (status == Status::max_evaluations) CHECK(residual.values == budget);
      if (!succeeded(status)) CHECK(status == Status::max_evaluations);
    }
  }
}

TEST_CASE("minimise: max_iterations ends after that many accepted steps") {
  for (const Index limit : {0, 1, 4}) {
    CAPTURE(limit);
    FakeResidual residual = bowl();
    FakeStep step([](const Point& here, Trial& trial) { go(trial, 0.5 * here.x, 0.375 * here.x[0] * here.x[0]); });
    FakeObserver observer;
    Options options = endless();
    options.max_iterations = limit;
    Driven run(residual, step, options, observer);
    CHECK(run.minimiser.run(vector({1})) == Status::max_iterations);
    CHECK(run.minimiser.iterations() == limit);
    CHECK(step.proposals == limit);
  }
}

TEST_CASE("minimise: max_iterations holds for the polishing too") {
  // r = (x - 1, 100): stationary at once by a loose tolerance, and a full step away from better
  FakeResidual residual([](const Vector& x, Vector& r) { r = vector({x[0] - 1, 100}); },
                        [](const Vector&, Matrix& J) { J = vector({1, 0}); });
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    Options options = endless();
    options.stationarity = 0.5;
    options.polish = true;
    options.max_iterations = 0;
    FakeObserver observer;
    Solve solve(residual, method, options, Box::infinite(1), observer);
    CHECK(solve.minimiser.run(vector({0})) == Status::stationary);
    CHECK(solve.minimiser.iterations() == 0);
  }
}

TEST_CASE("minimise: max_time ends with the point reached") {
  FakeResidual residual = bowl();
  FakeStep step(uphill);
  FakeObserver observer;
  Options options = endless();
  options.max_time = 1e-300;  // used up by the first evaluation
  Driven run(residual, step, options, observer);
  CHECK(run.minimiser.run(vector({1})) == Status::time_limit);
  CHECK(residual.values == 1);
  CHECK(run.minimiser.linearised());
  CHECK(run.minimiser.best().x[0] == 1);
}

TEST_CASE("minimise: max_dx is never exceeded") {
  for (const Method& method : methods()) {
    for (const double limit : {1e-3, 0.1, 1.0, 2.0, 10.0}) {
      CAPTURE(method.name);
      CAPTURE(limit);
      FakeResidual residual = rosenbrock();
      Options options = tight();
      options.max_dx = limit;
      FakeObserver observer;
      Solve solve(residual, method, options, Box::infinite(2), observer);
      const Vector x0 = vector({-1.2, 1});
      const Status status = solve.minimiser.run(x0);
      for (const Vector& x : residual.seen) CHECK((x - x0).norm() <= limit);
      CHECK((status == Status::distance_limit || (succeeded(status) && limit > 2.2)));
    }
  }
}

TEST_CASE("minimise: max_dx holds for the polishing too") {
  // r = (x - 1, 100) as above: the polishing step has length 1
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual([](const Vector& x, Vector& r) { r = vector({x[0] - 1, 100}); },
                          [](const Vector&, Matrix& J) { J = vector({1, 0}); });
    Options options = endless();
    options.stationarity = 0.5;
    options.polish = true;
    options.max_dx = 0.5;
    FakeObserver observer;
    Solve solve(residual, method, options, Box::infinite(1), observer);
    CHECK(solve.minimiser.run(vector({0})) == Status::stationary);
    for (const Vector& x : residual.seen) CHECK(std::abs(x[0]) <= 0.5);
  }
}

// -------------------------------------------------------------------------------------------- exceptions

TEST_CASE("minimise: an exception of the residual flies through and the best point stays readable") {
  for (const int fatal : {1, 2, 3, 5}) {
    CAPTURE(fatal);
    int call = 0;
    FakeResidual residual(
        [&](const Vector& x, Vector& r) {
          if (++call == fatal) throw std::domain_error("user");
          r = x;
        },
        [](const Vector&, Matrix& J) { J.setOnes(1, 1); });
    FakeStep step([](const Point& here, Trial& trial) { go(trial, 0.5 * here.x, 0.375 * here.x[0] * here.x[0]); });
    FakeObserver observer;
    Driven run(residual, step, endless(), observer);
    CHECK_THROWS_AS(run.minimiser.run(vector({1})), std::domain_error);
    CHECK(run.problem.counts().nfev == fatal);
    CHECK(observer.begun == observer.ended);
    const Point& best = run.minimiser.best();
    REQUIRE(best.x.size() == 1);
    if (fatal == 1) {
      CHECK_FALSE(run.minimiser.linearised());
      CHECK(best.x[0] == 1);
      CHECK(best.cost == infinity);
    } else {
      CHECK(run.minimiser.linearised());
      CHECK(best.x[0] == std::ldexp(1.0, 2 - fatal));
      CHECK(run.minimiser.iterations() == fatal - 2);
      check_best(run.minimiser);
    }
  }
}

TEST_CASE("minimise: an exception of the Jacobian leaves the point before") {
  for (const int fatal : {1, 2, 4}) {
    CAPTURE(fatal);
    int call = 0;
    FakeResidual residual([](const Vector& x, Vector& r) { r = x; },
                          [&](const Vector&, Matrix& J) {
                            if (++call == fatal) throw std::domain_error("user");
                            J.setOnes(1, 1);
                          });
    FakeStep step([](const Point& here, Trial& trial) { go(trial, 0.5 * here.x, 0.375 * here.x[0] * here.x[0]); });
    FakeObserver observer;
    Driven run(residual, step, endless(), observer);
    CHECK_THROWS_AS(run.minimiser.run(vector({1})), std::domain_error);
    CHECK(run.minimiser.linearised() == (fatal > 1));
    CHECK(run.minimiser.best().x[0] == std::ldexp(1.0, fatal > 1 ? 2 - fatal : 0));
    CHECK(run.minimiser.best().cost == 0.5 * std::pow(run.minimiser.best().x[0], 2));
    if (fatal > 1) check_best(run.minimiser);
  }
}

TEST_CASE("minimise: an exception of the observer leaves the point it was shown") {
  FakeResidual residual = bowl();
  FakeStep step([](const Point& here, Trial& trial) { go(trial, 0.5 * here.x, 0.375 * here.x[0] * here.x[0]); });
  FakeObserver observer([&](const History&, const Point&) -> Status {
    if (observer.calls == 3) throw std::domain_error("user");
    return Status::running;
  });
  Driven run(residual, step, endless(), observer);
  CHECK_THROWS_AS(run.minimiser.run(vector({1})), std::domain_error);
  CHECK(run.minimiser.best().x[0] == 0.25);
  check_best(run.minimiser);
}

TEST_CASE("minimise: an exception in the polishing keeps the stationary point") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual(
        [](const Vector& x, Vector& r) {
          if (x[0] != 0) throw std::domain_error("user");
          r = vector({x[0] - 1, 100});
        },
        [](const Vector&, Matrix& J) { J = vector({1, 0}); });
    Options options = endless();
    options.stationarity = 0.5;
    options.polish = true;
    FakeObserver observer;
    Solve solve(residual, method, options, Box::infinite(1), observer);
    CHECK_THROWS_AS(solve.minimiser.run(vector({0})), std::domain_error);
    CHECK(solve.minimiser.best().x[0] == 0);
    check_best(solve.minimiser);
  }
}

// ----------------------------------------------------------------------------------------------- endings

TEST_CASE("minimise: a zero residual at the start needs nothing more") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual = rosenbrock();
    FakeObserver observer;
    Solve solve(residual, method, Options(), Box::infinite(2), observer);
    CHECK(solve.minimiser.run(vector({1, 1})) == Status::zero_residual);
    CHECK(residual.values == 1);
    CHECK(residual.jacobians == 1);
  }
}

TEST_CASE("minimise: ftol is a success only if the certificate confirms it") {
  // r = (x, 1): far from the minimum a tiny step has a tiny fall as promised, which proves nothing
  FakeResidual residual([](const Vector& x, Vector& r) { r = vector({x[0], 1}); },
                        [](const Vector&, Matrix& J) { J = vector({1, 0}); });
  Options options = endless();
  options.ftol = options.xtol = 1e-5;
  {
    FakeStep step([](const Point& here, Trial& trial) { go(trial, here.x.array() - 1e-9, 1e-9); });
    FakeObserver observer(
        [&](const History&, const Point&) { return observer.calls == 6 ? Status::stopped : Status::running; });
    Driven run(residual, step, options, observer);
    CHECK(run.minimiser.run(vector({1})) == Status::stopped);
    CHECK(run.minimiser.iterations() == 5);
  }
  {
    FakeStep step([](const Point&, Trial& trial) { go(trial, vector({0}), 5e-7); });
    FakeObserver observer;
    Driven run(residual, step, options, observer);
    CHECK(run.minimiser.run(vector({1e-3})) == Status::cost);
    CHECK(run.minimiser.best().x[0] == 0);
  }
}

TEST_CASE("minimise: the endings without progress") {
  // J = (1, 0)', x = 1.1e6: rounding of r is about 1e-9, and r = (rho, 1)
  const auto ending = [](double rho) {
    FakeResidual residual([=](const Vector&, Vector& r) { r = vector({rho, 1}); },
                          [](const Vector&, Matrix& J) { J = vector({1, 0}); });
    FakeStep step([](const Point& here, Trial& trial) { go(trial, here.x.array() + 1, 0); });
    FakeObserver observer;
    Driven run(residual, step, endless(), observer);
    const Status status = run.minimiser.run(vector({1.1e6}));
    CHECK(step.proposals == (status == Status::stalled ? 2 : 1));  // a fresh start before giving up
    return status;
  };
  CHECK(ending(0.9e-5) == Status::stationary);
  CHECK(ending(1.2e-5) == Status::precision_limit);
  CHECK(ending(1e-3) == Status::stalled);
}

TEST_CASE("minimise: a method that gives up where the full step finds lower ground is restarted there") {
  FakeResidual residual = bowl();
  FakeStep step(uphill);
  step.give_up = [&] { return step.proposals >= 2; };
  FakeObserver observer;
  Driven run(residual, step, endless(), observer);
  CHECK(run.minimiser.run(vector({1})) == Status::zero_residual);
  CHECK(step.starts == 2);
  CHECK(run.minimiser.best().x[0] == 0);
  CHECK(run.minimiser.iterations() == 1);
  check_history(run.minimiser, run.problem, endless());
}

TEST_CASE("minimise: a method that gives up where the full step leads nowhere has stalled") {
  FakeResidual residual = lying();
  FakeStep step(uphill);
  step.give_up = [&] { return step.proposals >= 2; };
  FakeObserver observer;
  Driven run(residual, step, endless(), observer);
  CHECK(run.minimiser.run(vector({1})) == Status::stalled);
  CHECK(step.starts == 2);  // it is given one fresh start where it stands
  CHECK(step.adopts == 0);
  CHECK(run.minimiser.best().x[0] == 1);
  check_history(run.minimiser, run.problem, endless());
}

TEST_CASE("minimise: the limit that the caller set for lambda or Delta has its own endings") {
  FakeResidual residual = lying();
  FakeStep step(uphill);
  FakeObserver observer;
  SUBCASE("as soon as it is passed") {
    step.passed_limit = [&] { return step.proposals >= 2 ? Status::radius_limit : Status::running; };
    Driven run(residual, step, endless(), observer);
    CHECK(run.minimiser.run(vector({1})) == Status::radius_limit);
    CHECK(step.proposals == 2);
    CHECK(residual.values == 3);  // nothing is searched
    CHECK(observer.calls == 3);
  }
  SUBCASE("instead of stalled, where a search and a fresh start led to it again") {
    step.give_up = [&] { return step.proposals % 2 == 0; };
    step.passed_limit = [&] {
      return step.ratios.size() % 2 == 0 && step.proposals >= 2 ? Status::damping_limit : Status::running;
    };
    Driven run(residual, step, endless(), observer);
    CHECK(run.minimiser.run(vector({1})) == Status::damping_limit);
    CHECK(run.minimiser.best().x[0] == 1);
  }
}

TEST_CASE("minimise: a move found by a search is a pass of its own without a prediction") {
  FakeResidual residual = bowl();
  FakeStep step(uphill);
  step.give_up = [&] { return step.proposals >= 2; };
  FakeObserver observer;
  Driven run(residual, step, endless(), observer);
  REQUIRE(run.minimiser.run(vector({1})) == Status::zero_residual);
  const std::deque<Record>& records = run.minimiser.history().records;
  REQUIRE(records.size() == 4);  // two rejections, the search, the end
  CHECK_FALSE(records[1].accepted);
  CHECK(records[2].accepted);
  CHECK(std::isnan(records[2].ratio));
  CHECK(std::isnan(records[2].predicted));
  CHECK(records[2].actual == doctest::Approx(records[0].cost));
  CHECK(records[2].step_norm == doctest::Approx(1));
  CHECK(records[3].iteration == 1);
}

TEST_CASE("minimise: residuals of single precision are judged by its rounding") {
  // rho = 4e-4: the full step promises a fall of 8e-8, which is about the rounding of 0.5 in single precision
  const auto ending = [](double rounding) {
    FakeResidual residual([](const Vector&, Vector& r) { r = vector({4e-4, 1}); },
                          [](const Vector&, Matrix& J) { J = vector({1, 0}); });
    residual.rounding = residual.error = rounding;
    FakeStep step([](const Point& here, Trial& trial) { go(trial, here.x.array() + 1, 0); });
    FakeObserver observer;
    Driven run(residual, step, endless(), observer);
    return run.minimiser.run(vector({1}));
  };
  CHECK(ending(1.2e-7) == Status::precision_limit);
  CHECK(ending(epsilon) == Status::stalled);
}

TEST_CASE("minimise: the search along the full step keeps to the budget and the distance") {
  for (Index budget = 3; budget <= 15; ++budget) {
    CAPTURE(budget);
    FakeResidual residual = lying();
    FakeStep step(uphill);
    step.give_up = [] { return true; };
    FakeObserver observer;
    Options options = endless();
    options.max_nfev = budget;
    options.max_dx = 1.5;
    Driven run(residual, step, options, observer);
    run.minimiser.run(vector({1}));
    CHECK(residual.values <= budget);
    for (const Vector& x : residual.seen) CHECK(std::abs(x[0] - 1) <= 1.5);
  }
}

TEST_CASE("minimise: a step below rounding of x ends the solve") {
  FakeResidual residual = lying();
  FakeStep step([](const Point& here, Trial& trial) {
    go(trial, here.x.array() + 1e-16, 1e-3);
    trial.size = epsilon;
    trial.reference = 1;
  });
  FakeObserver observer;
  Driven run(residual, step, endless(), observer);
  CHECK(run.minimiser.run(vector({1})) == Status::stalled);
  CHECK(step.proposals == 2);  // the second after a fresh start
}

TEST_CASE("minimise: a problem that starts below gtol in its units still has to improve by gtol") {
  for (const Method& method : methods()) {
    for (const double unit : {1e-8, 1e-4, 1.0, 1e8}) {
      CAPTURE(method.name);
      CAPTURE(unit);
      FakeResidual inner = rosenbrock();
      FakeResidual residual(
          [&](const Vector& x, Vector& r) {
            inner.value(x, r);
            r *= unit;
          },
          [&](const Vector& x, Matrix& J) {
            inner.fill(x, J);
            J *= unit;
          });
      FakeObserver observer;
      Solve solve(residual, method, Options(), Box::infinite(2), observer);
      CHECK(succeeded(solve.minimiser.run(vector({-1.2, 1}))));
      CHECK((solve.minimiser.best().x - vector({1, 1})).norm() <= 1e-2);
    }
  }
}

TEST_CASE("minimise: tolerances of zero run to rounding and still end in success") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual([](const Vector& x, Vector& r) { r = vector({std::exp(x[0]) - 2, x[0] + 1, x[0] - 3}); },
                          [](const Vector& x, Matrix& J) { J = vector({std::exp(x[0]), 1, 1}); });
    FakeObserver observer;
    Solve solve(residual, method, endless(), Box::infinite(1), observer);
    CHECK(succeeded(solve.minimiser.run(vector({3}))));
    check_first_order(solve.minimiser.best(), Box::infinite(1), 1e-7);
  }
}

// ------------------------------------------------------------------------- columns of zeros, looked around

TEST_CASE("minimise: a parameter without effect anywhere is no obstacle to success") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual([](const Vector& x, Vector& r) { r = vector({x[0] - 3, x[0] - 5}); },
                          [](const Vector&, Matrix& J) {
                            J.setZero(2, 2);
                            J.col(0).setOnes();
                          });
    FakeObserver observer;
    Solve solve(residual, method, Options(), Box::infinite(2), observer);
    CHECK(succeeded(solve.minimiser.run(vector({0, 7}))));
    CHECK(solve.minimiser.best().x[0] == doctest::Approx(4));
    CHECK(solve.minimiser.best().x[1] == 7);
  }
}

TEST_CASE("minimise: a parameter that ran onto a plateau is not a success") {
  // r = (exp(-x), 1): exp(-x) and its derivative are exactly zero from x = 746 on, and nowhere is the cost lower
  for (const double x0 : {800.0, 2000.0}) {
    for (const Method& method : methods()) {
      CAPTURE(method.name);
      CAPTURE(x0);
      FakeResidual residual([](const Vector& x, Vector& r) { r = vector({std::exp(-x[0]), 1}); },
                            [](const Vector& x, Matrix& J) { J = vector({-std::exp(-x[0]), 0}); });
      FakeObserver observer;
      Solve solve(residual, method, Options(), Box::infinite(1), observer);
      CHECK(solve.minimiser.run(vector({x0})) == Status::flat);
      CHECK(solve.minimiser.best().x[0] == x0);
      check_best(solve.minimiser);
    }
  }
}

TEST_CASE("minimise: from a plateau with lower ground in sight the solve goes on") {
  // r = exp(-x) - 2/5 from x = 800, minimum at log 5/2
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual([](const Vector& x, Vector& r) { r = vector({std::exp(-x[0]) - 0.4, 1}); },
                          [](const Vector& x, Matrix& J) { J = vector({-std::exp(-x[0]), 0}); });
    FakeObserver observer;
    Options options = tight();
    options.keep_iterates = true;
    Solve solve(residual, method, options, Box::infinite(1), observer);
    CHECK(succeeded(solve.minimiser.run(vector({800}))));
    CHECK(solve.minimiser.best().x[0] == doctest::Approx(std::log(2.5)).epsilon(1e-6));
    check_history(solve.minimiser, solve.problem, options);
    check_best(solve.minimiser);
  }
}

TEST_CASE("minimise: looking around keeps to the budget the box and the distance") {
  // three parameters whose columns are zero at the start
  for (const Method& method : methods()) {
    const auto quartic = [] {
      return FakeResidual(
          [](const Vector& x, Vector& r) { r = vector({x[0] * x[0] + 1, x[1] * x[1] + 1, x[2] * x[2] + 1}); },
          [](const Vector& x, Matrix& J) { J = (2 * x).asDiagonal(); });
    };
    for (Index budget = 1; budget <= 20; ++budget) {
      CAPTURE(method.name);
      CAPTURE(budget);
      FakeResidual residual = quartic();
      Options options;
      options.max_nfev = budget;
      FakeObserver observer;
      Solve solve(residual, method, options, Box::infinite(3), observer);
      solve.minimiser.run(Vector::Zero(3));
      CHECK(residual.values <= budget);
    }
    CAPTURE(method.name);
    FakeResidual residual = quartic();
    Options options;
    options.max_dx = 0.1;
    const Box feasible = box({-0.5, -0.01, 0}, {0.5, 0.02, 0});
    FakeObserver observer;
    Solve solve(residual, method, options, feasible, observer);
    solve.minimiser.run(Vector::Zero(3));
    for (const Vector& x : residual.seen) {
      CHECK(feasible.contains(x));
      CHECK(x.norm() <= 0.1);
      if (method.interior) {
        CHECK(x[0] > -0.5);
        CHECK(x[0] < 0.5);
        CHECK(x[1] > -0.01);
        CHECK(x[1] < 0.02);
      }
    }
  }
}

// ----------------------------------------------------------------------------------------------- history

TEST_CASE("minimise: histories are consistent however the solve goes") {
  for (const Method& method : methods()) {
    for (const bool polish : {false, true}) {
      for (const Vector& x0 : {vector({-1.2, 1}), vector({100, -40}), vector({6, 1e-3})}) {
        CAPTURE(method.name);
        CAPTURE(polish);
        CAPTURE(x0[0]);
        FakeResidual residual = rosenbrock();
        Options options = tight();
        options.polish = polish;
        options.keep_iterates = true;
        FakeObserver observer;
        Solve solve(residual, method, options, Box::infinite(2), observer);
        solve.minimiser.run(x0);
        check_history(solve.minimiser, solve.problem, options);
        check_best(solve.minimiser);
        const Record& first = solve.minimiser.history().records.front();
        CHECK(first.nfev == 1);
        CHECK(first.njev == 1);
        CHECK(first.iteration == 0);
        CHECK(solve.minimiser.history().iterates.front() == x0);
      }
    }
  }
}

TEST_CASE("minimise: iterates are kept only where asked for") {
  FakeResidual residual = rosenbrock();
  FakeObserver observer;
  Solve solve(residual, methods()[0], Options(), Box::infinite(2), observer);
  solve.minimiser.run(vector({-1.2, 1}));
  CHECK(solve.minimiser.history().iterates.empty());
  CHECK(solve.minimiser.iterations() > 0);
}

// --------------------------------------------------------------------------------------------- polishing

namespace {

// A fit of x0 exp(-x1 t) to data with noise; the residual itself is no smoother than `jitter`.
FakeResidual noisy_decay(const Vector& t, const Vector& noise, double jitter = 0) {
  return {[=](const Vector& x, Vector& r) {
            r = (x[0] * (-x[1] * t).array().exp() - 2 * (-0.7 * t).array().exp()).matrix() + noise;
            r.array() += jitter * std::sin(1e9 * (x[0] + 3 * x[1]));
          },
          [=](const Vector& x, Matrix& J) {
            J.resize(t.size(), 2);
            J.col(0) = (-x[1] * t).array().exp();
            J.col(1) = -x[0] * t.array() * J.col(0).array();
          }};
}

}  // namespace

TEST_CASE("minimise: polishing only lowers rho and does not raise the cost beyond rounding") {
  Numbers numbers(102);
  const Vector t = Vector::LinSpaced(20, 0, 3), noise = 0.1 * numbers.vector(20);
  for (const Method& method : methods()) {
    for (const double jitter : {0.0, 1e-9, 1e-6}) {
      CAPTURE(method.name);
      CAPTURE(jitter);
      const auto solve = [&](bool polish, double& rho, double& cost, Index& nfev) {
        FakeResidual residual = noisy_decay(t, noise, jitter);
        Options options = endless();
        options.stationarity = 1e-4;
        options.polish = polish;
        FakeObserver observer;
        Solve s(residual, method, options, Box::infinite(2), observer);
        const Status status = s.minimiser.run(vector({1, 1}));
        CHECK(status == Status::stationary);
        rho = Certifier(Box::infinite(2), epsilon).certify(s.minimiser.best()).rho;
        cost = s.minimiser.best().cost;
        nfev = residual.values;
        check_best(s.minimiser);
      };
      double plain, polished, cost_plain, cost_polished;
      Index calls_plain, calls_polished;
      solve(false, plain, cost_plain, calls_plain);
      solve(true, polished, cost_polished, calls_polished);
      CHECK(polished <= plain);
      CHECK(cost_polished <= cost_plain * (1 + 1e-13));
      CHECK(calls_polished <= calls_plain + 4);
      if (jitter == 0) CHECK(polished <= 1e-3 * plain);
    }
  }
}

TEST_CASE("minimise: the observer sees the polishing and may stop it") {
  Numbers numbers(103);
  const Vector t = Vector::LinSpaced(20, 0, 3), noise = 0.1 * numbers.vector(20);
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual = noisy_decay(t, noise);
    Options options = endless();
    options.stationarity = 1e-4;
    options.polish = false;
    FakeObserver unwatched;
    Solve plain(residual, method, options, Box::infinite(2), unwatched);
    CHECK(plain.minimiser.run(vector({1, 1})) == Status::stationary);
    options.polish = true;
    FakeObserver observer;
    Solve all(residual, method, options, Box::infinite(2), observer);
    CHECK(all.minimiser.run(vector({1, 1})) == Status::stationary);
    REQUIRE(all.minimiser.iterations() > plain.minimiser.iterations());
    const int passes = observer.calls;
    CHECK(passes == static_cast<int>(all.minimiser.history().records.size()));
    int seen = 0;
    FakeObserver stopping(
        [&](const History&, const Point&) { return ++seen == passes ? Status::stopped : Status::running; });
    Solve stopped(residual, method, options, Box::infinite(2), stopping);
    CHECK(stopped.minimiser.run(vector({1, 1})) == Status::stopped);
    CHECK(stopped.minimiser.iterations() == all.minimiser.iterations());
  }
}

// ------------------------------------------------------------------------------------------ real problems

TEST_CASE("minimise: Rosenbrock from near and far by every method") {
  for (const Method& method : methods()) {
    for (const Vector& x0 : {vector({-1.2, 1}), vector({0, 0}), vector({1000, 1000}), vector({-120, 100})}) {
      CAPTURE(method.name);
      CAPTURE(x0[0]);
      FakeResidual residual = rosenbrock();
      FakeObserver observer;
      Options options = tight();
      options.max_nfev = 1000;  // damping by the running maximum of the column norms remembers a far start for long
      Solve solve(residual, method, options, Box::infinite(2), observer);
      const Status status = solve.minimiser.run(x0);
      CHECK(succeeded(status));
      CHECK((solve.minimiser.best().x - vector({1, 1})).norm() <= 1e-9);
      CHECK(solve.step->rank() == 2);
      check_history(solve.minimiser, solve.problem, options);
    }
  }
}

TEST_CASE("minimise: Powell's singular function by every method") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual(
        [](const Vector& x, Vector& r) {
          r = vector({x[0] + 10 * x[1], std::sqrt(5.0) * (x[2] - x[3]), std::pow(x[1] - 2 * x[2], 2),
                      std::sqrt(10.0) * std::pow(x[0] - x[3], 2)});
        },
        [](const Vector& x, Matrix& J) {
          const double a = 2 * (x[1] - 2 * x[2]), b = 2 * std::sqrt(10.0) * (x[0] - x[3]);
          J.resize(4, 4);
          J << 1, 10, 0, 0, 0, 0, std::sqrt(5.0), -std::sqrt(5.0), 0, a, -2 * a, 0, b, 0, 0, -b;
        });
    FakeObserver observer;
    Solve solve(residual, method, tight(), Box::infinite(4), observer);
    CHECK(succeeded(solve.minimiser.run(vector({3, -1, 0, 1}))));
    CHECK(solve.minimiser.best().cost <= 1e-12);
    CHECK(solve.minimiser.best().x.norm() <= 1e-2);
  }
}

TEST_CASE("minimise: a fit with bounds that bind by every method") {
  // a exp(-b t) + c, data from (2.5, 1.3, 0.5) with noise; the walls cut the free solution off
  Numbers numbers(103);
  const Vector t = Vector::LinSpaced(30, 0, 4);
  const Vector y = (2.5 * (-1.3 * t).array().exp() + 0.5).matrix() + 0.05 * numbers.vector(30);
  const Box feasible = box({0, 0, 0.7}, {2, 10, 5});
  double best = infinity;
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual(
        [&](const Vector& x, Vector& r) { r = (x[0] * (-x[1] * t).array().exp() + x[2]).matrix() - y; },
        [&](const Vector& x, Matrix& J) {
          J.resize(30, 3);
          J.col(0) = (-x[1] * t).array().exp();
          J.col(1) = -x[0] * t.array() * J.col(0).array();
          J.col(2).setOnes();
        });
    FakeObserver observer;
    Solve solve(residual, method, tight(), feasible, observer);
    CHECK(succeeded(solve.minimiser.run(vector({1, 0.5, 3}))));
    const Point& here = solve.minimiser.best();
    for (const Vector& x : residual.seen) {
      CHECK(feasible.contains(x));
      if (method.interior) {
        CHECK((x.array() > feasible.lower.array()).all());
        CHECK((x.array() < feasible.upper.array()).all());
      }
    }
    check_first_order(here, feasible, 2e-5);  // ftol = 1e-10 of the cost leaves the square root of it
    CHECK(here.x[0] == doctest::Approx(2).epsilon(1e-6));
    CHECK(here.x[2] == doctest::Approx(0.7).epsilon(1e-6));
    Eigen::VectorXi active(3);
    active << 1, 0, -1;
    CHECK(solve.minimiser.active() == active);
    if (best == infinity) best = here.cost;
    CHECK(here.cost == doctest::Approx(best).epsilon(1e-8));
  }
}

TEST_CASE("minimise: bounded Rosenbrock to ten digits by every method") {
  // on x <= 0.8 the minimum is (0.8, 0.64), cost 0.02
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual = rosenbrock();
    FakeObserver observer;
    Options options = tight();
    Solve solve(residual, method, options, box({-infinity, -infinity}, {0.8, infinity}), observer);
    CHECK(succeeded(solve.minimiser.run(vector({-1.2, 1}))));
    CHECK((solve.minimiser.best().x - vector({0.8, 0.64})).norm() <= (method.interior ? 1e-7 : 1e-10));
    if (!method.interior) CHECK(solve.minimiser.best().x[0] == 0.8);
  }
}

TEST_CASE("minimise: fixed variables keep their value to the last bit by every method") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual = rosenbrock();
    FakeObserver observer;
    const double at = 1.0 / 3;
    Solve solve(residual, method, tight(), box({-infinity, at}, {infinity, at}), observer);
    CHECK(succeeded(solve.minimiser.run(vector({2, 5}))));
    for (const Vector& x : residual.seen) CHECK(x[1] == at);
    check_first_order(solve.minimiser.best(), box({-infinity, at}, {infinity, at}), 1e-6);
    // and with nothing left to move there is nothing to do
    FakeResidual still = rosenbrock();
    Solve none(still, method, tight(), box({2, 5}, {2, 5}), observer);
    CHECK(succeeded(none.minimiser.run(vector({0, 0}))));
    CHECK(still.values == 1);
    CHECK(none.minimiser.best().x == vector({2, 5}));
  }
}

TEST_CASE("minimise: fewer residuals than variables by every method") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual sphere([](const Vector& x, Vector& r) { r = vector({x.squaredNorm() - 3}); },
                        [](const Vector& x, Matrix& J) { J = 2 * x.transpose(); });
    FakeObserver observer;
    Solve solve(sphere, method, tight(), Box::infinite(3), observer);
    CHECK(succeeded(solve.minimiser.run(vector({2, 1, 0.5}))));
    CHECK(std::abs(solve.minimiser.best().x.squaredNorm() - 3) <= 1e-9);
    CHECK(solve.step->rank() == 1);

    Numbers numbers(104);
    FakeResidual flat = linear(numbers.matrix(2, 5), numbers.vector(2));
    Solve wide(flat, method, tight(), Box::infinite(5), observer);
    CHECK(succeeded(wide.minimiser.run(Vector::Zero(5))));
    CHECK(wide.minimiser.best().cost <= 1e-18);
    CHECK(wide.step->rank() == 2);
  }
}

TEST_CASE("minimise: parameters that only their sum determines by every method") {
  // exp(-(a + b) t) + c
  const Vector t = Vector::LinSpaced(15, 0, 2);
  Numbers numbers(105);
  const Vector y = ((-1.5 * t).array().exp() + 0.3).matrix() + 0.02 * numbers.vector(15);
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    FakeResidual residual(
        [&](const Vector& x, Vector& r) { r = ((-(x[0] + x[1]) * t).array().exp() + x[2]).matrix() - y; },
        [&](const Vector& x, Matrix& J) {
          J.resize(15, 3);
          J.col(0) = -t.array() * (-(x[0] + x[1]) * t).array().exp();
          J.col(1) = J.col(0);
          J.col(2).setOnes();
        });
    FakeObserver observer;
    Solve solve(residual, method, tight(), Box::infinite(3), observer);
    CHECK(succeeded(solve.minimiser.run(vector({0.1, 0.4, 0}))));
    const Point& here = solve.minimiser.best();
    check_first_order(here, Box::infinite(3), 1e-6);
    CHECK(here.x.allFinite());
    // equal columns share every Gauss-Newton step; the secant's model knows of no such thing
    if (method.maker != make_adaptive_region) CHECK(here.x[1] - here.x[0] == doctest::Approx(0.3));
    CHECK(solve.step->rank() == 2);
  }
}

TEST_CASE("minimise: hard starts by every method") {
  struct Start {
    std::string name;
    std::function<double(double)> r0, d0, r1, d1;  // two residuals of one variable
    double x0, solution, tolerance;
  };
  const auto zero = [](double) { return 0.0; };
  const std::vector<Start> starts = {
      {"exp(x) - 1 from 30", [](double x) { return std::exp(x) - 1; }, [](double x) { return std::exp(x); }, zero, zero,
       30, 0, 1e-6},
      {"log(x) - 5 from 0.01", [](double x) { return std::log(x) - 5; }, [](double x) { return 1 / x; }, zero, zero,
       0.01, std::exp(5.0), 1e-2},
      {"(x^4 - 1, x - 1) from 1000", [](double x) { return x * x * x * x - 1; }, [](double x) { return 4 * x * x * x; },
       [](double x) { return x - 1; }, [](double) { return 1.0; }, 1000, 1, 1e-6},
      {"x - 3 from 1e-12", [](double x) { return x - 3; }, [](double) { return 1.0; }, zero, zero, 1e-12, 3, 1e-5},
  };
  for (const Start& s : starts) {
    for (const Method& method : methods()) {
      CAPTURE(s.name);
      CAPTURE(method.name);
      FakeResidual residual([&](const Vector& x, Vector& r) { r = vector({s.r0(x[0]), s.r1(x[0])}); },
                            [&](const Vector& x, Matrix& J) { J = vector({s.d0(x[0]), s.d1(x[0])}); });
      Options options;
      options.max_nfev = 200;
      FakeObserver observer;
      Solve solve(residual, method, options, Box::infinite(1), observer);
      CHECK(succeeded(solve.minimiser.run(vector({s.x0}))));
      CHECK(std::abs(solve.minimiser.best().x[0] - s.solution) <= s.tolerance);
    }
  }
}

TEST_CASE("minimise: random bounded fits are never falsely successful") {
  Numbers numbers(106);
  const Vector t = Vector::LinSpaced(12, 0, 2);
  int bound = 0;
  for (int time = 0; time < 25; ++time) {
    const Vector truth = vector({numbers.between(1, 3), numbers.between(0.5, 2), numbers.between(-1, 1)});
    const Vector y = (truth[0] * (-truth[1] * t).array().exp() + truth[2]).matrix() + 0.05 * numbers.vector(12);
    Box feasible = {truth - vector({0.5, 0.5, 0.5}), truth + vector({0.5, 0.5, 0.5})};
    const Index j = time % 3;
    (time % 2 ? feasible.upper : feasible.lower)[j] = truth[j] + (time % 2 ? -0.2 : 0.2);
    const Vector x0 = 0.5 * (feasible.lower + feasible.upper);
    for (const Method& method : methods()) {
      CAPTURE(time);
      CAPTURE(method.name);
      FakeResidual residual(
          [&](const Vector& x, Vector& r) { r = (x[0] * (-x[1] * t).array().exp() + x[2]).matrix() - y; },
          [&](const Vector& x, Matrix& J) {
            J.resize(12, 3);
            J.col(0) = (-x[1] * t).array().exp();
            J.col(1) = -x[0] * t.array() * J.col(0).array();
            J.col(2).setOnes();
          });
      FakeObserver observer;
      Solve solve(residual, method, tight(), feasible, observer);
      const Status status = solve.minimiser.run(x0);
      CHECK(succeeded(status));
      if (succeeded(status)) check_first_order(solve.minimiser.best(), feasible, 1e-4);
      for (const Vector& x : residual.seen) CHECK(feasible.contains(x));
      bound += solve.minimiser.active().cwiseAbs().sum();
      check_history(solve.minimiser, solve.problem, tight());
    }
  }
  CHECK(bound > 100);
}

// -------------------------------------------------------------------------------------------- allocation

namespace {

// From the third pass on nothing may be allocated by Eigen, until the observer stops the solve in the seventh. Method
// 'auto' has made each of its kinds of steps before: it has the same solve behind it.
void check_inner_loop(const Method& method, bool bounded) {
  CAPTURE(method.name);
  // four Rosenbrock pairs: n = 8, m = 8, every entry written in place
  FakeResidual residual(
      [](const Vector& x, Vector& r) {
        r.resize(8);
        for (Index i = 0; i < 8; i += 2) {
          r[i] = 10 * (x[i + 1] - x[i] * x[i]);
          r[i + 1] = 1 - x[i];
        }
      },
      [](const Vector& x, Matrix& J) {
        if (J.rows() != 8) J.resize(8, 8);
        J.setZero();
        for (Index i = 0; i < 8; i += 2) {
          J(i, i) = -20 * x[i];
          J(i, i + 1) = 10;
          J(i + 1, i) = -1;
        }
      });
  residual.remember = false;
  Box feasible = Box::infinite(8);
  if (bounded) {
    feasible.upper[0] = 0.7;
    feasible.upper[2] = 0.6;
    feasible.lower[5] = -0.5;
  }
  std::optional<NoMalloc> guard;
  FakeObserver observer([&](const History&, const Point&) {
    if (observer.calls == 3) guard.emplace();
    if (observer.calls < 7) return Status::running;
    guard.reset();
    return Status::stopped;
  });
  Options options = endless();
  options.initial_trust_radius = "number";
  options.initial_trust_radius_value = 0.5;  // full steps would be at the solution too soon
  Solve solve(residual, method, options, feasible, observer);
  const Vector x0 = vector({-1.2, 1, 0.5, -2, -3, 0.1, 0.2, 0.3});
  if (method.maker == make_adaptive_region) {
    FakeObserver seven(
        [&](const History&, const Point&) { return seven.calls < 7 ? Status::running : Status::stopped; });
    Minimiser(solve.problem, *solve.step, seven, options, feasible).run(x0);
  }
  CHECK(solve.minimiser.run(x0) == Status::stopped);
  guard.reset();
  CHECK(observer.calls == 7);
}

}  // namespace

TEST_CASE("minimise: the inner loop allocates nothing after the first passes") {
  for (const Method& method : methods()) check_inner_loop(method, false);
}

TEST_CASE("minimise: the inner loop in a box allocates nothing after the first passes by LM") {
  for (const Method& method : methods()) {
    if (!method.interior) check_inner_loop(method, true);
  }
}

TEST_CASE("minimise: the inner loop in a box allocates nothing after the first passes by TR") {
  for (const Method& method : methods()) {
    if (method.interior) check_inner_loop(method, true);
  }
}
