// What Gauss and Newton leave out: S, a secant estimate of  sum r_i r_i''  from the gradients along the path. With it
// the model's Hessian is J'J + S, and convergence stays fast where the residuals do not vanish.
//
//   y# = (J+ - J)'r+,   y = g+ - g,   s = x+ - x,   tau = min(1, |s'y#| / |s'S s|)
//   S+ = tau S + (w y' + y w')/y's - (s'w) y y'/(y's)^2,   w = y# - tau S s
//
// J'J + S need not be positive definite; the step in ||p_hat|| <= Delta then comes from its eigenvalues.
// References: Dennis, Gay & Welsch (1981), An adaptive nonlinear least-squares algorithm, for S, its sizing tau and the
// choice between the two models; More & Sorensen (1983), Computing a trust region step, for the indefinite case.
#pragma once

#include <Eigen/Eigenvalues>

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
  double length(double alpha);   // of the step at alpha, left in `along_`
  void assemble(Vector& p_hat);  // from `along_`

  bool known_ = false;
  Matrix S_, B_;
  // Q (V diag(lambda) V') Q' = A'A + C + diag(d) S diag(d); apart, as Eigen's eigenvalue solver of a whole matrix
  // allocates each time
  Eigen::Tridiagonalization<Matrix> reduced_;
  Eigen::SelfAdjointEigenSolver<Matrix> eigen_;
  Matrix Q_;
  Vector diagonal_, beside_, lambda_, work_;
  Vector s_, y_, w_;
  mutable Vector image_;  // S p
  Vector pull_, along_;   // gradient and step in the eigenvectors' coordinates
};

}  // namespace marquardt
