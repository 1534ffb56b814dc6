// A parameter whose Jacobian column is zero satisfies every first-order test. It may have no effect at all, or be at a
// minimum of even order, or have run onto a plateau (exp(-x) at x = 800) or sit on a ridge: only other values of it
// tell.
#pragma once

#include <functional>
#include <optional>

#include "marquardt/problem/problem.hpp"

namespace marquardt {

enum class Surroundings {
  no_effect,  // r is the same wherever we looked
  minimum,    // r changes nearby, and the cost rises
  plateau,    // r is constant nearby, but changes farther away
  lower,      // the cost is lower at another value, which is filled in
};

constexpr Index most_looks = 4;  // residual evaluations of one look around

// Looks at up to most_looks other values of x_j, near and far; `typical` is its usual size. `admissible` moves a point
// to where r may be evaluated, or says that it must not be. `rounding` is what costs must differ by.
Surroundings look_around(Problem& problem, const Point& here, Index j, double typical, double rounding,
                         const std::function<bool(Vector&)>& admissible, Value& lower);

// The way from x_j to the vertex of a parabola through points a thousandth of `typical` to either side, if that is next
// to nothing: for a single parameter the proof of a minimum where J itself vanishes, so that no measure built on J can
// tell.
std::optional<double> bottom_along(Problem& problem, const Point& here, Index j, double typical, double rounding,
                                   const std::function<bool(Vector&)>& admissible);

}  // namespace marquardt
