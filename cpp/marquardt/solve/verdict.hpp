// When do we stop, and was it a success? Pure functions of numbers; every rule about ratios, NaN and rounding is here.
//
// A tolerance alone never makes a success. ftol, xtol and gtol look at the step just taken or at the gradient's size in
// the user's units; each is only a candidate until the certificate, which knows no units, confirms it: a tiny step or
// fall may be the work of the damping, of the radius, or of a scale.
#pragma once

#include "marquardt/base/options.hpp"
#include "marquardt/base/status.hpp"
#include "marquardt/problem/problem.hpp"
#include "marquardt/step/certificate.hpp"
#include "marquardt/step/step.hpp"

namespace marquardt::verdict {

// Actual over predicted fall. -1 where the trial is not finite or nothing was promised; 1 where both falls are below
// the rounding of the cost.
double gain_ratio(double fall, double predicted, double cost_rounding);

// Rounding level of a difference of costs at this point.
double cost_rounding(const Point& here);

// ftol and xtol on the step just tried: candidates only (running: none).
Status step_test(const Options& options, const Trial& trial, double cost, double fall, double ratio);

// Whether the certificate bears the candidate out. `typical` is the length of the largest x so far in its scaling,
// `first_norm` that of r at the start.
bool confirmed(Status candidate, const Options& options, const Point& here, const Certificate& certificate,
               double typical, double first_norm);

// First-order to rounding, or down to the stationarity tolerance (no tighter than the Jacobian's own error allows).
// Whether J's error may be what keeps rho from falling, so that a more accurate one is due.
bool near_stationary(const Point& here, double rho);

bool stationary(const Options& options, const Point& here, double rho, double derivative_error);

// A weaker test for points where no step can be seen to lower the cost any more: rho down to 1e-5 instead of 1e-8,
// without the directions that the errors of J drown.
bool as_good_as_stationary(const Point& here, const Certificate& certificate);

// At a degenerate minimum J is nearly singular and rho cannot become small. If not even the full step, shortened as
// much as one likes, lowers the cost, it is enough that each column by itself is orthogonal to r to six digits. Not
// with forward differences, whose errors make that step worthless where J is nearly singular. `quick` is
// Certifier::quick.
bool degenerate_minimum(const Point& here, const Certificate& certificate, double quick, double derivative_error);

// r = 0, or as good as 0 whatever the scale of r: within a few roundings of 1 and of its first value.
bool zero_residual(const Point& here, double first_norm);

Status budget_test(const Options& options, const Counts& counts, Index iterations, double seconds);

}  // namespace marquardt::verdict
