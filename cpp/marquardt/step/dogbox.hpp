// A rectangular trust region: in scaled variables both |p_hat_j| <= Delta and the walls are sides of one rectangle,
// whose dogleg is cheap to follow. Pure functions.
// References: Powell (1970), A hybrid method for nonlinear equations; Voglis & Lagaris (2004), A rectangular trust
// region dogleg approach for unconstrained and bound constrained nonlinear optimization; Nocedal & Wright, Numerical
// Optimization, 2nd ed., 4.1.
#pragma once

#include "marquardt/base/box.hpp"
#include "marquardt/linalg/model.hpp"

namespace marquardt::dogbox {

// held_j = -1, +1: x_j stands on its lower, upper wall and -g_j does not point inwards (a fixed variable: -1);
// 0: free.
void hold(const Vector& x, const Vector& g, const Box& box, Eigen::VectorXi& held);

struct Rectangle {
  Vector lower, upper;  // lower <= 0 <= upper
};

// The largest t in [0, 1] with p + t q in the rectangle, for p in it.
double reach(const Rectangle& rectangle, const Vector& p, const Vector& q);

// The way down: from 0 along -g_hat to the minimiser of the model there (the Cauchy point), then straight to the
// model's minimiser `newton`. The model falls all the way, so its lowest point in the rectangle is the last one: p_hat,
// on a side to the last bit where a side ends it. True if that is `newton`. An empty `newton` is unknown: the way then
// ends at the Cauchy point. `leg` is scratch.
bool dogleg(const Model& model, const Vector& newton, const Rectangle& rectangle, Vector& p_hat, Vector& leg);

// How far along u = -g_hat / ||g_hat|| the model falls: infinite where it has no curvature there, 0 where g_hat = 0.
double cauchy_length(const Model& model, Vector& u);

}  // namespace marquardt::dogbox
