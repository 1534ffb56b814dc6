// Is this a first-order point? A measure that depends neither on the method nor on its damping or radius, nor on the
// units of r or x: how much the undamped linear model could still gain inside the box.
//
// Unbounded: rho = ||P r||, P the projector on the columns of J (Bates & Watts 1981, A relative offset orthogonality
// convergence criterion for nonlinear least squares), and 1/2 rho^2 is the fall that a full Gauss-Newton step predicts.
// In a box: a variable whose own best move crosses its wall is held; it can gain at most |g_j| times its distance
// to the wall, which is added; P projects on the other columns.
#pragma once

#include <memory>
#include <optional>

#include "marquardt/base/box.hpp"
#include "marquardt/linalg/safe_rows.hpp"
#include "marquardt/linalg/subproblem.hpp"
#include "marquardt/problem/problem.hpp"

namespace marquardt {

struct Certificate {
  double rho = infinity;       // sqrt(2 x the gain still possible), units of r
  double resolved = infinity;  // the same without directions that the errors of J drown
  double size = infinity;      // ||D p|| of the full step, D the current column norms
  double reference = 0;        // ||D x||
  Vector p;                    // the full step: minimum norm, held variables at rest
  Vector doubtful;             // the part of p in directions that the errors of J drown, brought to the length of x
  Index rank = 0;              // of the free columns, each scaled to length 1
  bool singular = false;       // a combination of them is shorter than 1e-5
};

class Certifier {
 public:
  explicit Certifier(Box box, double derivative_error = epsilon);

  void expect(double derivative_error);  // relative error of J's columns, from now on

  // O(n^3), and one pass over J where the point's rows are in a Gram form too inaccurate for this.
  const Certificate& certify(const Point& here);

  // max over the free columns of |g_j| / ||J_j||: a lower bound of rho that costs nothing.
  double quick(const Point& here) const;

  // -1, 0, +1: x_j is at its lower wall, free, at its upper wall. At a wall means on it, or so near that the
  // variable's own best move would cross it and that the way is short beside `typical`_j, its usual size.
  Eigen::VectorXi active(const Point& here, const Vector& typical) const;

  // ||D y|| with the D of the last certificate.
  double measure(const Vector& y) const;

 private:
  bool held(const Point& here, Index j) const;
  bool regular(const Reduced& rows);
  const Reduced& triangle_of(const Point& here);
  double scale(const Point& here, const Reduced& rows);
  double gain(Subproblem& subproblem);
  void measure_regular(Subproblem& factored);
  void measure_by_rank();

  Box box_;
  ScaledSigma sigma_;
  Model model_;
  std::unique_ptr<Subproblem> normal_equations_;
  // what triangles take, made where one is needed first
  std::optional<Accumulator> accumulator_;
  std::unique_ptr<Subproblem> full_, truncated_, clear_;
  double drowned_below_ = 0;  // scaled singular values that the errors of J drown
  double at_walls_ = 0;       // what the held variables could gain
  Certificate certificate_;
  Vector d_, C_, norms_, p_hat_, doubt_;
  mutable Vector scaled_;
};

}  // namespace marquardt
