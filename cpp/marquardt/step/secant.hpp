// What Gauss and Newton leave out: S, a secant estimate of  sum r_i r_i''  from the gradients along the path. With it
// the model's Hessian is J'J + S, and convergence stays fast where the residuals do not vanish.
//
//   y# = (J+ - J)'r+,   y = g+ - g,   s = x+ - x,   tau = min(1, |s'y#| / |s'S s|)
//   S+ = tau S + (w y' + y w')/y's - (s'w) y y'/(y's)^2,   w = y# - tau S s
//
// J'J + S need not be positive definite: the step in ||p_hat|| <= Delta comes from its eigenvalues (ball_qp.hpp).
// References: Dennis, Gay & Welsch (1981), An adaptive nonlinear least-squares algorithm, for S, its sizing tau and the
// choice between the two models.
#pragma once

#include <memory>

#include "marquardt/linalg/ball_qp.hpp"
#include "marquardt/linalg/model.hpp"
#include "marquardt/problem/problem.hpp"

namespace marquardt {

class Secant {
 public:
  void forget();  // S = 0

  // From x, with the gradient g there, to `here`: S for the new point. `pulled` = J'r+, J of x and r+ of `here`.
  void update(const Vector& x, const Vector& g, const Vector& pulled, const Point& here);

  bool known() const { return known_; }
  double curvature(const Vector& p) const;  // p'S p

  // Once per point and model: eigenvalues of A'A + C + diag(d) S diag(d).
  void factor(const Model& model);

  // The minimiser of the model with S in ||p_hat|| <= Delta. Returns whether Delta cut it.
  bool solve(double Delta, Vector& p_hat);

 private:
  bool known_ = false;
  Matrix S_, B_;
  Vector s_, y_, w_;
  mutable Vector image_;             // S p
  std::unique_ptr<BallQp> ball_qp_;  // once a step was asked for
};

}  // namespace marquardt
