#include "marquardt/solve/verdict.hpp"

#include <algorithm>
#include <cmath>

namespace marquardt::verdict {
namespace {

// ftol needs a step that the model described: SciPy's and the classical quarter.
constexpr double trusted_ratio = 0.25;
// What a full step could still gain must be below this share of what ftol allows a step to gain: two digits of rho,
// which cost one iteration where convergence is fast and are what tells a saddle or a slow crawl from a minimum.
constexpr double confirming_share = 1e-4;
// rho / ||r|| at which a point where nothing moves any more still counts: five digits of orthogonality.
constexpr double orthogonal = 1e-5;
// ... at which forward differences, eight digits at best, begin to matter.
constexpr double nearly = 1e-6;
// The same for single columns of a nearly singular J.
constexpr double column_orthogonal = 1e-6;
// Relative error of J up to which its small singular values mean something here: central differences, not forward ones.
constexpr double accurate = 1e-10;
// Residuals this many roundings of 1 (or of their first value) are zero: what a handful of operations leaves of it.
constexpr double zero_roundings = 10;

}  // namespace

double gain_ratio(double fall, double predicted, double rounding) {
  if (!std::isfinite(fall) || !(predicted >= 0)) return -1;
  if (predicted <= rounding && std::abs(fall) <= rounding) return fall >= 0 ? 1 : -1;
  if (predicted == 0) return -1;
  return fall / predicted;
}

// r'r rounds at eps ||r||^2, and r itself at the noise of its terms.
double cost_rounding(const Point& here) { return here.precision * here.cost + 0.25 * here.noise() * here.norm_r; }

Status step_test(const Options& options, const Trial& trial, double cost, double fall, double ratio) {
  if (!trial.usable || trial.cut || !(ratio > 0)) return Status::running;
  const bool cost_small = options.ftol > 0 && ratio > trusted_ratio && fall <= options.ftol * cost &&
                          trial.predicted <= options.ftol * cost;
  const bool step_small = options.xtol > 0 && trial.size <= options.xtol * trial.reference;
  if (cost_small && step_small) return Status::cost_and_step;
  if (cost_small) return Status::cost;
  return step_small ? Status::step : Status::running;
}

bool confirmed(Status candidate, const Options& options, const Point& here, const Certificate& c, double typical,
               double first_norm) {
  const double enough =
      options.ftol > 0 ? std::max(confirming_share * options.ftol * here.cost, cost_rounding(here)) : 0;
  const bool nothing_to_gain = 0.5 * c.rho * c.rho <= enough;
  const bool nowhere_to_go = c.size <= options.xtol * c.reference;
  switch (candidate) {
    case Status::cost:
      return nothing_to_gain;
    case Status::step:
      return nowhere_to_go;
    case Status::cost_and_step:
      return nothing_to_gain && nowhere_to_go;
    case Status::gradient: {
      // gtol is in the user's units; the point must look first-order without units too. Where r vanishes at the
      // solution rho / ||r|| does not become small; there the full step must have, to two thirds of gtol's digits.
      if (c.rho <= options.gtol * here.norm_r + here.noise()) return true;
      const bool vanishing = here.norm_r <= std::sqrt(options.gtol) * first_norm;
      return vanishing && c.size <= std::cbrt(options.gtol * options.gtol) * typical;
    }
    default:
      return false;
  }
}

bool stationary(const Options& options, const Point& here, double rho, double derivative_error) {
  if (!(options.stationarity > 0)) return false;
  // one digit above J's own error, but never so much that the claim means nothing
  const double enough = std::max(orthogonal, std::sqrt(here.precision));  // of single precision half the digits
  const double tolerance = std::max(options.stationarity, std::min(10 * derivative_error, enough));
  return rho <= tolerance * here.norm_r + here.noise();
}

bool near_stationary(const Point& here, double rho) { return rho <= nearly * here.norm_r + 1e3 * here.noise(); }

bool as_good_as_stationary(const Point& here, const Certificate& c) {
  return c.resolved <= std::max(orthogonal, std::sqrt(here.precision)) * here.norm_r + 10 * here.noise();
}

bool degenerate_minimum(const Point& here, const Certificate& c, double quick, double derivative_error) {
  return c.singular && derivative_error <= accurate && quick <= column_orthogonal * here.norm_r + here.noise();
}

bool zero_residual(const Point& here, double first_norm) {
  if (here.norm_r == 0) return here.r.isZero(0);
  return here.norm_r <= zero_roundings * here.precision * std::min(1.0, first_norm);
}

Status budget_test(const Options& options, const Counts& counts, Index iterations, double seconds) {
  if (counts.nfev >= options.max_nfev) return Status::max_evaluations;
  if (iterations >= options.max_iterations) return Status::max_iterations;
  if (seconds >= options.max_time) return Status::time_limit;
  return Status::running;
}

}  // namespace marquardt::verdict
