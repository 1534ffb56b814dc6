// What bounds do to a trust-region step: scaling by the distance to the wall that the gradient points at, and, when a
// step meets a wall, the best of three candidates. Pure functions.
// References: Coleman & Li (1996), An interior trust region approach for nonlinear minimization subject to bounds;
// Branch, Coleman & Li (1999), A subspace, interior, and conjugate gradient method (the reflection).
#pragma once

#include "marquardt/base/box.hpp"
#include "marquardt/linalg/model.hpp"

namespace marquardt::coleman_li {

// v_j = distance to the wall that -g_j points at, dv_j its derivative with respect to x_j; v_j = 1, dv_j = 0 where
// there is no such wall. A fixed variable has v_j = 0, dv_j = 0.
void scaling(const Vector& x, const Vector& g, const Box& box, Vector& v, Vector& dv);

struct Choice {
  Vector p_hat;
  double predicted = 0;
  bool met_wall = false;
  Vector p, at_wall, turned, candidate, point, zero;  // scratch, so that a sequence of choices allocates once
};

// x + d .* p_hat if it lies in the box; otherwise the candidate with the lowest model value among: the step cut just
// short of the wall (at the fraction theta), the step reflected there, and the scaled gradient; all within ||p_hat||
// <= Delta and strictly inside the box.
void choose(const Model& model, const Vector& x, const Box& box, double Delta, double theta, const Vector& p_hat,
            Choice& choice);

}  // namespace marquardt::coleman_li
