#include "marquardt/base/status.hpp"

#include <stdexcept>

namespace marquardt {

const std::vector<StatusEntry>& status_table() {
  static const std::vector<StatusEntry> table = {
      {Status::gradient, "GRADIENT",
       "Converged: the largest component of the (projected) gradient is at most gtol, and the full step is small.",
       true},
      {Status::cost, "COST",
       "Converged: the cost fell by less than ftol times its value, and a full step could not gain more.", true},
      {Status::step, "STEP",
       "Converged: the step is smaller than xtol relative to x, and so is the full step from here.", true},
      {Status::cost_and_step, "COST_AND_STEP", "Converged: the conditions of ftol and of xtol both hold.", true},
      {Status::stationary, "STATIONARY",
       "Converged: the residuals are orthogonal to the Jacobian's columns as far as double precision can tell.", true},
      {Status::zero_residual, "ZERO_RESIDUAL", "Converged: the residuals are zero to rounding.", true},
      {Status::max_evaluations, "MAX_EVALUATIONS",
       "Not converged: max_nfev function evaluations are used up. Raise max_nfev, or start from this x again.", false},
      {Status::max_iterations, "MAX_ITERATIONS",
       "Not converged: the iteration limit is reached. Raise it, or start from this x again.", false},
      {Status::stalled, "STALLED",
       "Not converged: no step from here lowers the cost, though the first-order conditions do not hold. "
       "Check the Jacobian (check_jacobian), the scaling of the parameters, or start elsewhere.",
       false},
      {Status::precision_limit, "PRECISION_LIMIT",
       "Not converged: changes of the cost are below rounding, short of a first-order point. The model may be noisy, "
       "single precision or badly scaled, or the Jacobian inaccurate.",
       false},
      {Status::not_finite_start, "NOT_FINITE_START",
       "Not started: the residuals are not finite at x0. Choose an x0 where the function is defined.", false},
      {Status::not_finite_jacobian, "NOT_FINITE_JACOBIAN",
       "Not started: the Jacobian is not finite at x0. Check it there, or choose another x0.", false},
      {Status::stopped, "STOPPED", "Stopped by the callback; x is the best point so far.", false},
      {Status::time_limit, "TIME_LIMIT",
       "Not converged: max_time is used up; x is the best point so far. Raise max_time, or start from this x again.",
       false},
      {Status::distance_limit, "DISTANCE_LIMIT",
       "Not converged: the next step would leave the distance max_dx from x0; x is the best point within it.", false},
      {Status::flat, "FLAT",
       "Not converged: a parameter has no effect on the residuals here (its Jacobian column is zero), though it has "
       "elsewhere. Start nearer to where it matters, or bound it.",
       false},
      {Status::damping_limit, "DAMPING_LIMIT",
       "Not converged: the damping passed its limit, and not even the shortest steps lower the cost. Check the "
       "Jacobian (check_jacobian), and that the function is defined around this x.",
       false},
      {Status::radius_limit, "RADIUS_LIMIT",
       "Not converged: the trust radius fell below min_trust_radius. Lower min_trust_radius, or start from this x "
       "again.",
       false},
      {Status::interrupted, "INTERRUPTED", "Interrupted by an exception; x is the best point so far.", false},
  };
  return table;
}

const StatusEntry& entry(Status status) {
  for (const StatusEntry& e : status_table()) {
    if (e.status == status) {
      return e;
    }
  }
  throw std::logic_error("a solve ended with a status that the table does not list");
}

}  // namespace marquardt
