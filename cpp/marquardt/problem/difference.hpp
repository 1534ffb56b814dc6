// A Residual whose Jacobian comes from finite differences of a Function.
//
// The step of parameter j is h_j = eps^p s_j, eps the precision of r, p = 1/2 (2-point) or 1/3 (3-point), where s_j is
// the parameter's own size |x_j|, never a fixed 1: a parameter of 1e-7 gets a step of 1e-15, one of 1e5 a step of 1e-3.
// Three corrections:
//   - a parameter whose whole effect on r is small beside r is given a larger step, s_j >= kappa F / ||J_j||, with F
//     the size of the residuals' terms, so that its column is not lost in the rounding of r;
//   - a column that is lost all the same (||r(x + h) - r|| at rounding level) is measured again with a longer step;
//   - a column whose central differences bend over less than |x_j| is measured again with a shorter one.
// The scheme that chooses takes central differences at half the price where x has hardly moved since the last ones:
// those gave second differences too, which are all that forward differences lack. Steps that the caller chose, h_j =
// relative_j |x_j|, are taken as they are wherever x_j is not 0. Every evaluated point lies in the box; a variable with
// no room (lower == upper) has a zero column. Reference: Gill, Murray & Wright (1981), Practical Optimization,
// section 8.6.
#pragma once

#include <vector>

#include "marquardt/base/box.hpp"
#include "marquardt/problem/residual.hpp"

namespace marquardt {

// automatic: 2-point until the solve asks for more (refine), 3-point from then on.
enum class Scheme { two_point, three_point, complex_step, automatic };

class Differenced : public Residual {
 public:
  // `together`: all perturbed points of a Jacobian go to Function::values in one call, else one parameter at a time.
  // `relative`: the caller's own h_j / |x_j|, of any sign's size; empty: chosen here.
  Differenced(Function& function, Scheme scheme, Box box, bool together, Vector relative = Vector());

  void value(const Vector& x, Vector& r) override { function_.value(x, r); }
  void jacobian(const Vector& x, const Vector& r, Jacobian& J) override;
  Index difference_evaluations() const override { return evaluations_; }
  double derivative_error() const override;
  double precision() const override { return function_.precision(); }
  bool refinable() const override { return refinable_; }
  void refine() override;
  const Vector& steps() const { return steps_; }  // h_j of the last Jacobian, 0 where none was taken

 private:
  // Of a column from r and one or two points beside x.
  enum class Formula {
    forward,
    central,
    parabola,  // through x and two points on one side
    bent,      // forward, with the second difference of the last central one
  };

  // The points of one column: r is measured at x_j + first and, for the formulas that need it, at x_j + second.
  struct Stencil {
    Index column;
    double first = 0, second = 0;
    Formula formula = Formula::forward;
    Index length() const { return formula == Formula::central || formula == Formula::parabola ? 2 : 1; }
  };

  void real_jacobian(const Vector& x, const Vector& r, Matrix& J);
  void complex_jacobian(const Vector& x, Matrix& J);
  void sizes(const Vector& x, const Vector& r);
  Stencil stencil(const Vector& x, Index j, double size, int direction, bool one_sided = false) const;
  void measure_all(const Vector& x, const Vector& r, Matrix& J);
  void measure(const Vector& x, const Vector& r, const Stencil* stencils, std::size_t count, Matrix& J);
  void measure(const Vector& x, const Vector& r, const Stencil& s, Matrix& J) { measure(x, r, &s, 1, J); }
  void fill(const Stencil& s, Index k, const Vector& x, const Vector& r, Matrix& J);
  bool measure_near_last(const Vector& x, const Vector& r, Matrix& J);
  void remeasure_poor_columns(const Vector& x, const Vector& r, Matrix& J);
  void lengthen(const Vector& x, const Vector& r, Index j, Matrix& J);
  void keep_second(Index k, const Vector& r, Index j, double h);
  void restore(Index j, const Vector& before, Matrix& J);
  void straighten(const Vector& x, const Vector& r, Matrix& J);
  void shorten(const Vector& x, const Vector& r, Index j, Matrix& J);

  Function& function_;
  Scheme scheme_;
  Box box_;
  bool together_, refinable_;
  bool keeps_second_;  // whether second differences are kept
  Vector relative_;
  Index evaluations_ = 0;
  Vector column_norms_;  // of the last Jacobian; empty before the first
  Vector steps_;
  Vector size_, change_;           // s_j, and ||r(x + h) - r|| of the last measurement
  Vector bend_, cap_;              // its second difference over the first; the largest s_j that stays straight
  Matrix second_;                  // r(x + h) - 2 r(x) + r(x - h) of the last central differences,
  Vector second_x_, second_h_;     // their x, and h of each column; 0 where there is none
  std::vector<Stencil> stencils_;  // of the Jacobian at hand
  Matrix points_, values_;
  Eigen::MatrixXcd complex_points_, complex_values_;
};

}  // namespace marquardt
