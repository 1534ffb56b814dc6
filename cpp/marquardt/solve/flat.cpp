#include "marquardt/solve/flat.hpp"

#include <array>

namespace marquardt {
namespace {

// A parameter at 0 has no size of its own; this step shows a square beside 1 and is still near.
constexpr double near_zero = 1e-3;

}  // namespace

Surroundings look_around(Problem& problem, const Point& here, Index j, double rounding,
                         const std::function<bool(Vector&)>& admissible, Value& lower) {
  const double x = here.x[j];
  const std::array<double, 2> near = x != 0 ? std::array{0.9 * x, 1.1 * x} : std::array{-near_zero, near_zero};
  const std::array<double, 2> far = {0.1 * x, x < 0 ? -1.0 : 1.0};  // not across 0: r may not be defined there
  Value there;
  double best = here.cost - rounding;
  bool outlier = false;  // with a loss: the function's own residuals change, though they cost the same
  const auto changes = [&](double value) {
    Vector point = here.x;
    point[j] = value;
    if (!admissible(point)) return false;
    problem.value(point, there);
    const bool visibly = !((there.r - here.r).norm() <= here.precision * here.norm_r);
    outlier |= there.raw.size() > 0 && !((there.raw - here.raw).norm() <= here.precision * here.raw.norm());
    if (there.cost < best) {
      best = there.cost;
      std::swap(lower, there);
    }
    return visibly;
  };
  bool nearby = false, farther = false;
  for (const double value : near) nearby |= changes(value);
  for (const double value : far) farther |= changes(value);
  if (best < here.cost - rounding) return Surroundings::lower;
  if (nearby) return Surroundings::minimum;
  return farther || outlier ? Surroundings::plateau : Surroundings::no_effect;
}

}  // namespace marquardt
