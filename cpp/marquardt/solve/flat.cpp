#include "marquardt/solve/flat.hpp"

#include <algorithm>
#include <array>

namespace marquardt {
namespace {

// A parameter at 0 has no size of its own; this step shows a square beside 1 and is still near.
constexpr double near_zero = 1e-3;

}  // namespace

Surroundings look_around(Problem& problem, const Point& here, const Box& box, Index j, double rounding, Value& lower) {
  const double x = here.x[j];
  const std::array<double, 2> near = x != 0 ? std::array{0.9 * x, 1.1 * x} : std::array{-near_zero, near_zero};
  const std::array<double, 2> far = {0.1 * x, x < 0 ? -1.0 : 1.0};  // not across 0: r may not be defined there
  Vector point = here.x;
  Value there;
  double best = here.cost - rounding;
  const auto changed = [&](double value) {
    point[j] = std::clamp(value, box.lower[j], box.upper[j]);
    if (point[j] == x) return false;
    problem.value(point, there);
    const bool different = there.r != here.r;
    if (there.cost < best) {
      best = there.cost;
      std::swap(lower, there);
    }
    return different;
  };
  bool near_changed = false, far_changed = false;
  for (const double value : near) near_changed |= changed(value);
  for (const double value : far) far_changed |= changed(value);
  if (best < here.cost - rounding) return Surroundings::lower;
  if (near_changed) return Surroundings::minimum;
  return far_changed ? Surroundings::plateau : Surroundings::no_effect;
}

}  // namespace marquardt
