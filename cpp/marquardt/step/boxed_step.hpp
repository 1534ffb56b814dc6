// Where a wall is in the way of the full or shortened step: the exact minimiser of the Gauss-Newton model in box and
// region, a box QP whose damping alpha meets Delta.
#pragma once

#include "marquardt/base/box.hpp"
#include "marquardt/linalg/box_qp.hpp"
#include "marquardt/step/step.hpp"

namespace marquardt {

class BoxedStep {
 public:
  explicit BoxedStep(const Box& box) : box_(box) {}

  void forget() { warm_ = false; }

  // The step from `here` in ||p_hat|| <= Delta, p = p_hat / D; `alpha` is a guess of the damping, 0 if there is none.
  // Fills p_hat, and x, p and predicted of the trial. Returns whether Delta cut it.
  bool propose(const Point& here, const Vector& D, double Delta, double alpha, Vector& p_hat, Trial& trial);

 private:
  void set_model(const Point& here, const Vector& D);
  double meet(double Delta, double alpha, Vector& p_hat);
  double length(double alpha, Vector& p_hat);

  const Box& box_;
  BoxQp box_qp_;
  bool warm_ = false;       // p_hat and active_ are those of a box QP before
  Eigen::VectorXi active_;  // of the last box QP
  Model model_;
  Vector d_, C_, lower_, upper_;  // fixed variables: d = 0, C = 1 (see model.hpp)
  Matrix matrix_, damped_;
};

}  // namespace marquardt
