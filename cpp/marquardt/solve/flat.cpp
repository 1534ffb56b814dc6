#include "marquardt/solve/flat.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace marquardt {
namespace {

// A parameter at 0 has no size of its own; this step shows a square beside 1 and is still near.
constexpr double near_zero = 1e-3;

// Of a bottom: how far the points to either side are, and how near the parabola's vertex, beside the usual size of x_j.
constexpr double beside = 1e-3, exact = 1e-6;

}  // namespace

Surroundings look_around(Problem& problem, const Point& here, Index j, double typical, double rounding,
                         const std::function<bool(Vector&)>& admissible, Value& lower) {
  const double x = here.x[j];
  // a tenth of its size; beside 0 that of its usual size, which may have shrunk to nothing on the way to a minimum at 0
  const double aside = std::max(0.1 * std::abs(x), near_zero * typical);
  const std::array<double, 2> near = {x - aside, x + aside};
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

std::optional<double> bottom_along(Problem& problem, const Point& here, Index j, double typical, double rounding,
                                   const std::function<bool(Vector&)>& admissible) {
  const double h = beside * typical;
  std::array<double, 2> rise;
  Value there;
  for (const int side : {0, 1}) {
    Vector point = here.x;
    point[j] += side == 0 ? -h : h;
    const double wanted = point[j];
    if (!admissible(point) || point[j] != wanted) return std::nullopt;
    problem.value(point, there);
    rise[static_cast<std::size_t>(side)] = -cost_fall(here, there);
    if (!(rise[static_cast<std::size_t>(side)] > rounding) || !std::isfinite(there.cost)) return std::nullopt;
  }
  const double vertex = 0.5 * h * (rise[0] - rise[1]) / (rise[0] + rise[1]);
  return std::abs(vertex) <= exact * typical ? std::optional(vertex) : std::nullopt;
}

}  // namespace marquardt
