// The verdicts: pure functions of numbers, each at its edges.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "fakes.hpp"
#include "marquardt/solve/verdict.hpp"

using namespace marquardt;
using namespace marquardt::fakes;
using namespace marquardt::verdict;

namespace {

// r = (norm_r, 0, ...), x of terms / ||J||: J = (1), so that noise and rounding are set at will.
Point point(double norm_r, double terms = 0) {
  Point here;
  here.x = vector({terms});
  here.r = vector({norm_r});
  here.J.own() = Matrix::Identity(1, 1);
  here.norm_r = norm_r;
  here.cost = 0.5 * norm_r * norm_r;
  here.terms = terms;
  return here;
}

Certificate certified(double rho, double size, double reference) {
  Certificate c;
  c.rho = c.resolved = rho;
  c.size = size;
  c.reference = reference;
  return c;
}

Trial tried(double predicted, double size, double reference) {
  Trial trial;
  trial.predicted = predicted;
  trial.size = size;
  trial.reference = reference;
  trial.usable = true;
  return trial;
}

Options tolerances(double ftol, double xtol, double gtol = 0) {
  Options options;
  options.ftol = ftol;
  options.xtol = xtol;
  options.gtol = gtol;
  return options;
}

double up(double x) { return std::nextafter(x, infinity); }

}  // namespace

// -------------------------------------------------------------------------------------------- gain ratio

TEST_CASE("verdict: the gain ratio is actual over predicted") {
  CHECK(gain_ratio(1, 2, 0) == 0.5);
  CHECK(gain_ratio(3, 2, 0) == 1.5);
  CHECK(gain_ratio(-1, 2, 0) == -0.5);
  CHECK(gain_ratio(0, 2, 0) == 0);
  CHECK(gain_ratio(1e-300, 2e-300, 0) == 0.5);
}

TEST_CASE("verdict: a trial that is not finite or a promise of nothing is a failure") {
  for (const double fall : {not_a_number, infinity, -infinity}) {
    for (const double predicted : {not_a_number, infinity, -infinity, -1.0, 0.0, 1.0}) {
      CAPTURE(fall);
      CAPTURE(predicted);
      CHECK(gain_ratio(fall, predicted, 1e-16) == -1);
    }
  }
  for (const double predicted : {not_a_number, -infinity, -1.0, -1e-300, 0.0}) {
    CAPTURE(predicted);
    CHECK(gain_ratio(1, predicted, 1e-16) == -1);
    CHECK(gain_ratio(-1, predicted, 1e-16) == -1);
  }
}

TEST_CASE("verdict: an infinite promise is never kept") { CHECK_FALSE(gain_ratio(1, infinity, 1e-16) > 0); }

TEST_CASE("verdict: the gain ratio is never NaN") {
  const double numbers[] = {not_a_number, infinity, -infinity, 0.0, 1.0, -1.0, 1e-320, -1e-320, 1e308, -1e308};
  for (const double fall : numbers) {
    for (const double predicted : numbers) {
      for (const double rounding : {0.0, 1e-16, infinity}) {
        CAPTURE(fall);
        CAPTURE(predicted);
        CAPTURE(rounding);
        CHECK_FALSE(std::isnan(gain_ratio(fall, predicted, rounding)));
      }
    }
  }
}

TEST_CASE("verdict: falls below the rounding of the cost agree") {
  CHECK(gain_ratio(1e-17, 9e-17, 1e-16) == 1);
  CHECK(gain_ratio(9e-17, 1e-17, 1e-16) == 1);
  CHECK(gain_ratio(1e-16, 1e-16, 1e-16) == 1);
  CHECK(gain_ratio(0, 0, 1e-16) == 1);
  CHECK(gain_ratio(-1e-17, 1e-17, 1e-16) == -1);  // a rise is never a success
  // one of them above it: the quotient counts
  CHECK(gain_ratio(1e-17, 2e-16, 1e-16) == doctest::Approx(0.05));
  CHECK(gain_ratio(-5e-16, 1e-17, 1e-16) == doctest::Approx(-50));
}

TEST_CASE("verdict: the rounding of the cost comes from its size and from the terms of r") {
  CHECK(cost_rounding(point(2)) == doctest::Approx(2 * epsilon));
  CHECK(cost_rounding(point(0)) == 0);
  // r = 1e-3 left over from terms of size 1e6
  CHECK(cost_rounding(point(1e-3, 1e6)) == doctest::Approx(epsilon * (0.5e-6 + 1e3)));
}

// --------------------------------------------------------------------------------------------- step test

TEST_CASE("verdict: ftol needs a small fall and a small promise") {
  const Options options = tolerances(1e-6, 0);
  const double cost = 1024, most = 1e-6 * cost;
  CHECK(step_test(options, tried(most, 1, 1), cost, most, 1) == Status::cost);
  CHECK(step_test(options, tried(up(most), 1, 1), cost, most, 1) == Status::running);
  CHECK(step_test(options, tried(most, 1, 1), cost, up(most), 1) == Status::running);
  CHECK(step_test(options, tried(0, 1, 1), cost, 0, 1) == Status::cost);
}

TEST_CASE("verdict: xtol compares the step with x in the same scaling") {
  const Options options = tolerances(0, 1e-3);
  CHECK(step_test(options, tried(1, 0.00999, 10), 1, 1, 1) == Status::step);
  CHECK(step_test(options, tried(1, 0.0101, 10), 1, 1, 1) == Status::running);
  CHECK(step_test(options, tried(1, 1e-300, 0), 1, 1, 1) == Status::running);  // no step is small beside x = 0
}

TEST_CASE("verdict: both at once have a status of their own") {
  CHECK(step_test(tolerances(1e-6, 1e-6), tried(1e-7, 1e-7, 1), 1, 1e-7, 1) == Status::cost_and_step);
}

TEST_CASE("verdict: a tolerance of zero is off") {
  CHECK(step_test(tolerances(0, 0), tried(0, 0, 0), 0, 0, 1) == Status::running);
  CHECK(step_test(tolerances(0, 1), tried(0, 1, 1), 0, 0, 1) == Status::step);
  CHECK(step_test(tolerances(1, 0), tried(0, 0, 1), 1, 0, 1) == Status::cost);
}

TEST_CASE("verdict: never on a step that was cut or is not usable") {
  const Options options = tolerances(1, 1);
  Trial trial = tried(1e-9, 1e-9, 1);
  REQUIRE(step_test(options, trial, 1, 1e-9, 1) == Status::cost_and_step);
  trial.cut = true;
  CHECK(step_test(options, trial, 1, 1e-9, 1) == Status::running);
  trial.cut = false;
  trial.usable = false;
  CHECK(step_test(options, trial, 1, 1e-9, 1) == Status::running);
}

TEST_CASE("verdict: never on a step that failed and ftol only on one that the model described") {
  const Options both = tolerances(1, 1), fall_only = tolerances(1, 0);
  const Trial trial = tried(1e-9, 1e-9, 1);
  for (const double ratio : {not_a_number, -infinity, -1.0, 0.0}) {
    CAPTURE(ratio);
    CHECK(step_test(both, trial, 1, 0, ratio) == Status::running);
  }
  CHECK(step_test(fall_only, trial, 1, 0, 0.25) == Status::running);
  CHECK(step_test(fall_only, trial, 1, 0, up(0.25)) == Status::cost);
  CHECK(step_test(both, trial, 1, 0, 0.1) == Status::step);
}

// ------------------------------------------------------------------------------------------ confirmation

TEST_CASE("verdict: ftol is confirmed where the full model has no more to gain than a share of ftol") {
  const Options options = tolerances(1e-6, 1e-6);
  const Point here = point(2);  // cost 2: 1/2 rho^2 <= 2e-10
  CHECK(confirmed(Status::cost, options, here, certified(1.99e-5, infinity, 0), 0, 1));
  CHECK_FALSE(confirmed(Status::cost, options, here, certified(2.01e-5, 0, 1), 0, 1));
  CHECK_FALSE(confirmed(Status::cost, options, here, certified(infinity, 0, 1), 0, 1));
  CHECK_FALSE(confirmed(Status::cost, options, here, certified(not_a_number, 0, 1), 0, 1));
}

TEST_CASE("verdict: xtol is confirmed where the full step is small") {
  const Options options = tolerances(1e-6, 1e-3);
  const Point here = point(1);
  CHECK(confirmed(Status::step, options, here, certified(1, 0.00999, 10), 0, 1));
  CHECK_FALSE(confirmed(Status::step, options, here, certified(0, 0.0101, 10), 0, 1));
  CHECK_FALSE(confirmed(Status::step, options, here, certified(0, infinity, 10), 0, 1));
  CHECK_FALSE(confirmed(Status::step, options, here, certified(0, not_a_number, 10), 0, 1));
}

TEST_CASE("verdict: cost_and_step is confirmed only by both") {
  const Options options = tolerances(1e-6, 1e-3);
  const Point here = point(2);
  CHECK(confirmed(Status::cost_and_step, options, here, certified(1e-5, 0.009, 10), 0, 1));
  CHECK_FALSE(confirmed(Status::cost_and_step, options, here, certified(1, 0.009, 10), 0, 1));
  CHECK_FALSE(confirmed(Status::cost_and_step, options, here, certified(1e-5, 1, 10), 0, 1));
}

TEST_CASE("verdict: gtol is confirmed by as many digits without units or where r vanishes by a small full step") {
  const Options options = tolerances(0, 0, 1e-6);
  CHECK(confirmed(Status::gradient, options, point(5), certified(0.99e-6 * 5, infinity, 0), 1, 5));
  CHECK_FALSE(confirmed(Status::gradient, options, point(5), certified(1.01e-6 * 5, 0, 0), 1, 5));
  // r has fallen to a thousandth: a step of 1e-4 of x will do; before that none will
  CHECK(confirmed(Status::gradient, options, point(5), certified(5, 0.99e-4 * 7, 0), 7, 5.1e3));
  CHECK_FALSE(confirmed(Status::gradient, options, point(5), certified(5, 1.01e-4 * 7, 0), 7, 5.1e3));
  CHECK_FALSE(confirmed(Status::gradient, options, point(5), certified(5, 0.99e-4 * 7, 0), 7, 4.9e3));
  CHECK(confirmed(Status::gradient, options, point(0, 1e6), certified(3e-10, infinity, 0), 0, 1));  // rounding of r
  CHECK_FALSE(confirmed(Status::gradient, options, point(0, 1e6), certified(1e-8, infinity, 0), 0, 1));
  CHECK_FALSE(confirmed(Status::gradient, options, point(1), certified(infinity, infinity, 0), 1, 1));
}

TEST_CASE("verdict: nothing else is ever confirmed") {
  const Options options = tolerances(1, 1, 1);
  for (const StatusEntry& e : status_table()) {
    const bool candidate = e.status == Status::cost || e.status == Status::step || e.status == Status::cost_and_step ||
                           e.status == Status::gradient;
    CAPTURE(std::string(e.name));
    CHECK(confirmed(e.status, options, point(1), certified(0, 0, 1), 1, 1) == candidate);
  }
  CHECK_FALSE(confirmed(Status::running, options, point(1), certified(0, 0, 1), 1, 1));
}

TEST_CASE("verdict: tolerances of zero confirm nothing but zero") {
  const Options options = tolerances(0, 0, 0);
  CHECK_FALSE(confirmed(Status::cost, options, point(1), certified(1e-20, 0, 1), 1, 1));
  CHECK_FALSE(confirmed(Status::step, options, point(1), certified(0, 1e-20, 1), 1, 1));
}

// -------------------------------------------------------------------------------------------- stationary

TEST_CASE("verdict: stationary within the tolerance relative to r") {
  Options options;
  options.stationarity = 1e-8;
  CHECK(stationary(options, point(10), 0.99e-7, epsilon));
  CHECK_FALSE(stationary(options, point(10), 1.01e-7, epsilon));
  CHECK_FALSE(stationary(options, point(10), infinity, epsilon));
  CHECK_FALSE(stationary(options, point(10), not_a_number, epsilon));
  options.stationarity = 0;  // off
  CHECK_FALSE(stationary(options, point(10), 0, epsilon));
}

TEST_CASE("verdict: stationarity is no tighter than the error of the Jacobian") {
  Options options;
  options.stationarity = 1e-12;
  const double error = 1e-8;
  CHECK(stationary(options, point(1), 0.99e-7, error));
  CHECK_FALSE(stationary(options, point(1), 1.01e-7, error));
  CHECK(stationary(options, point(1), 0.99e-12, 1e-14));
  CHECK_FALSE(stationary(options, point(1), 1.01e-12, 1e-14));
}

TEST_CASE("verdict: stationarity allows for the rounding of the terms of r") {
  Options options;
  options.stationarity = 1e-300;
  const Point here = point(0, 1e6);
  CHECK(stationary(options, here, 0.99 * here.noise(), 0));
  CHECK_FALSE(stationary(options, here, 1.01 * here.noise(), 0));
}

TEST_CASE("verdict: where nothing moves any more five digits are enough in the resolved directions") {
  Certificate c = certified(1, 1, 1);
  c.resolved = 0.99e-5 * 3;
  CHECK(as_good_as_stationary(point(3), c));
  c.resolved = 1.01e-5 * 3;
  CHECK_FALSE(as_good_as_stationary(point(3), c));
  for (const double none : {infinity, not_a_number}) {
    c.resolved = none;
    CHECK_FALSE(as_good_as_stationary(point(3), c));
  }
}

TEST_CASE("verdict: at a degenerate minimum each column by itself has to be orthogonal to r to six digits") {
  Certificate c = certified(1, 1, 1);
  c.singular = true;
  CHECK(degenerate_minimum(point(3), c, 0.99e-6 * 3, epsilon));
  CHECK_FALSE(degenerate_minimum(point(3), c, 1.01e-6 * 3, epsilon));
  CHECK_FALSE(degenerate_minimum(point(3), c, not_a_number, epsilon));
  CHECK_FALSE(degenerate_minimum(point(3), c, 0, std::sqrt(epsilon)));  // J by differences
  c.singular = false;
  CHECK_FALSE(degenerate_minimum(point(3), c, 0.99e-6 * 3, epsilon));
}

// ------------------------------------------------------------------------------------------ zero residual

TEST_CASE("verdict: a zero residual is zero or below rounding of 1 and of its first value") {
  CHECK(zero_residual(point(0), 1));
  CHECK(zero_residual(point(0), 0));
  CHECK(zero_residual(point(9 * epsilon), 1));
  CHECK(zero_residual(point(9 * epsilon), 1e10));
  CHECK_FALSE(zero_residual(point(11 * epsilon), 1));
  CHECK_FALSE(zero_residual(point(11 * epsilon), 1e10));  // small beside a bad start is not small
  CHECK(zero_residual(point(9e-8 * epsilon), 1e-8));
  CHECK_FALSE(zero_residual(point(11e-8 * epsilon), 1e-8));  // tiny units of r
  CHECK_FALSE(zero_residual(point(1e-30), 1e-30));
}

TEST_CASE("verdict: residuals whose squares underflow are not zero") {
  Point here = point(0);
  here.r = vector({1e-200});  // norm_r = sqrt(2 cost) = 0
  CHECK_FALSE(zero_residual(here, 1e-200));
  here.r = vector({0, 0});
  CHECK(zero_residual(here, 1));
}

// ------------------------------------------------------------------------------------------------ budget

TEST_CASE("verdict: the budgets and their order") {
  Options options;
  options.max_nfev = 10;
  options.max_iterations = 5;
  options.max_time = 2;
  const auto at = [&](Index nfev, Index iterations, double seconds) {
    Counts counts;
    counts.nfev = nfev;
    return budget_test(options, counts, iterations, seconds);
  };
  CHECK(at(9, 4, 1.999) == Status::running);
  CHECK(at(10, 4, 1.999) == Status::max_evaluations);
  CHECK(at(9, 5, 1.999) == Status::max_iterations);
  CHECK(at(9, 4, 2) == Status::time_limit);
  CHECK(at(10, 5, 2) == Status::max_evaluations);
  CHECK(at(9, 5, 2) == Status::max_iterations);
  CHECK(at(1000, 0, 0) == Status::max_evaluations);
}

TEST_CASE("verdict: evaluations for differences are not charged") {
  Options options;
  options.max_nfev = 10;
  Counts counts;
  counts.nfev = 9;
  counts.njev = 1000;
  counts.differences = 1000;
  CHECK(budget_test(options, counts, 0, 0) == Status::running);
}
