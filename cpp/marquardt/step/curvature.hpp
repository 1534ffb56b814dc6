// The curvature of r along the path, for no evaluation. After an accepted step s
//   a = 2 (r_old - r_new + J_new s)
// is the second derivative of r along s, to first order; along the next step v it is beta^2 a, beta = v's / s's. The
// step that follows the curved path is then v + 1/2 w,  w = -(J'J + alpha I)^-1 J' (beta^2 a).
// References: Transtrum & Sethna (2012), Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares
// minimization, for w; there a costs one more evaluation a step. Schnabel & Frank (1984), Tensor methods for nonlinear
// equations, for curvature from past points.
#pragma once

#include "marquardt/linalg/subproblem.hpp"
#include "marquardt/problem/problem.hpp"

namespace marquardt {

class Curvature {
 public:
  void forget();

  // At every new point of the path, with the scaling d of the model there.
  void adopt(const Point& here, const Vector& d);

  // From the last solve's step v to the bent one; `predicted` is the fall that the model with the curvature promises.
  // False where nothing is known, the correction is too long to be one, or lately it did not hold.
  bool bend(const Model& model, Subproblem& subproblem, const Vector& v, Vector& bent, double& predicted);

  // Whether a described what r did on the way to a trial: if not, steps stay straight until it does.
  void learn(const Point& here, const Value& there);

  // J'r+ of the last trial learnt from, which costs nothing here; empty before the first.
  const Vector& pulled() const { return pulled_; }

  // After a rejected trial x + p: the way back along the parabola t p + t^2 c that r was seen to follow, c the
  // correction of what the linear model missed. False where it promises nothing.
  bool turn_back(const Point& here, const Model& model, Subproblem& subproblem, const Vector& p, Vector& bent,
                 double& predicted);

 private:
  bool started_ = false, known_ = false, trusted_ = true;
  Vector x_, r_;              // of the point adopted last
  Vector s_, a_, h_;          // in x; h = J'a in the model's variables
  Vector inverse_d_, s_hat_;  // s in the model's variables, where lengths and angles do not depend on units
  double aa_ = 0, ar_ = 0, ss_ = 0;
  Vector w_, error_, step_, pulled_;
  Vector image_, turn_;  // J p, and J'error_ in the model's variables
};

}  // namespace marquardt
