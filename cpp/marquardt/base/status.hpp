// How a solve ended. One table holds every ending: its name, its sentence, and whether it is a success.
// `success` means that the first-order conditions hold (to the tolerance named in the sentence); nothing else does.
#pragma once

#include <vector>

namespace marquardt {

enum class Status : int {
  running = 0,
  // first-order points: success
  gradient = 1,       // gtol
  cost = 2,           // ftol
  step = 3,           // xtol
  cost_and_step = 4,  // ftol and xtol
  stationary = 5,     // the scale-free first-order measure is down to its tolerance or to rounding
  zero_residual = 6,  // r = 0 to rounding
  // everything else: no success
  max_evaluations = -1,
  max_iterations = -2,
  stalled = -3,          // the method cannot find a better point, and this one is not first-order
  precision_limit = -4,  // the cost cannot be resolved any further in double precision, short of first order
  not_finite_start = -5,
  not_finite_jacobian = -6,
  stopped = -7,  // by the user's callback
  time_limit = -8,
  distance_limit = -9,  // max_dx
  interrupted = -10,    // an exception or Ctrl-C: the best point so far
  flat = -11,           // a parameter ran onto a plateau: it has no effect here, though it has elsewhere
  damping_limit = -12,  // max_lambda: not even steps that short lower the cost
  radius_limit = -13,   // min_trust_radius
};

struct StatusEntry {
  Status status;
  const char* name;      // upper case, the name of the IntEnum member in Python
  const char* sentence;  // what happened, and where it is not a success what to do
  bool success;
};

const std::vector<StatusEntry>& status_table();
const StatusEntry& entry(Status status);
inline bool succeeded(Status status) { return static_cast<int>(status) > 0; }

}  // namespace marquardt
