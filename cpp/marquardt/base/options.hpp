// Everything a caller may choose about a solve. Declared once here, listed once in fields(): the binding, the keywords,
// the repr and the tests all read that list.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "marquardt/base/types.hpp"

namespace marquardt {

struct Options {
  // When to stop. A tolerance of 0 switches its test off.
  double ftol = 1e-6;
  double xtol = 1e-6;
  double gtol = 1e-6;
  double stationarity = 1e-8;  // half the digits of double precision: where the cost stops telling points apart
  Index max_nfev = 100;
  Index max_iterations = std::numeric_limits<Index>::max();
  double max_time = infinity;
  double max_dx = infinity;
  bool polish = true;

  // Levenberg-Marquardt
  double lambda0 = 1e-3;
  double max_lambda = 1e32;  // beyond it the step is far below rounding for any column scaling within 1e+-8

  // Trust region
  std::string initial_trust_radius = "scipy";
  double initial_trust_radius_value = 0;
  double initial_trust_ratio = 1;
  double max_trust_radius = infinity;
  double min_trust_radius = 0;  // 0: rounding of x is the limit
  double tr_increase_threshold = 0.75;
  double tr_decrease_threshold = 0.25;
  double tr_increase_ratio = 2;
  double tr_decrease_ratio = 0.25;

  bool keep_iterates = false;

  Index threads = 1;  // more pay only where a Jacobian takes milliseconds to reduce, and not beside busy neighbours

  // Throws std::invalid_argument naming the field, its value and the rule.
  void check() const;
};

// A field: its name, what it means, and where it lives.
struct Field {
  using Place = std::variant<double Options::*, Index Options::*, bool Options::*, std::string Options::*>;
  const char* name;
  const char* meaning;
  Place place;
};
const std::vector<Field>& fields();

}  // namespace marquardt
