// The quadratic model of the cost around x, in scaled variables p = diag(d) p_hat.
//
// The letters of the whole library:
//   x  parameters (n)                    J  Jacobian dr/dx (m x n)         d  scaling of the step, p = d .* p_hat
//   r  residuals (m)                     g  gradient J'r (n)               C  diagonal curvature beside J'J (bounds)
//   R, z  the triangle of [J r]          H  J'J                            alpha  damping of a subproblem
//   p  step                              lambda  damping (Levenberg-Marquardt)    Delta  trust radius
//   rho  gain ratio, actual / predicted fall of the cost
//
// With A = R diag(d) (triangle) the model is
//   m(p_hat) = 1/2 ||A p_hat + z||^2 + 1/2 p_hat' C p_hat            (up to a constant)
// and in Gram form, with B = diag(d) H diag(d) and g_hat = d .* g,
//   m(p_hat) = g_hat' p_hat + 1/2 p_hat' (B + C) p_hat.
// A variable that must not move has d = 0 and C = 1: its column vanishes, its p_hat is exactly 0.
#pragma once

#include "marquardt/base/types.hpp"
#include "marquardt/linalg/accumulator.hpp"

namespace marquardt {

class Model {
 public:
  // Takes the rows, scaling d >= 0 and diagonal C >= 0. `rows` must outlive the model's use.
  void set(const Reduced& rows, const VectorView& d, const VectorView& C);

  Index size() const { return d_.size(); }
  const Reduced& rows() const { return *rows_; }
  const Vector& d() const { return d_; }
  const Vector& C() const { return C_; }
  const Vector& gradient() const { return g_hat_; }  // d .* g
  bool has_curvature() const { return curved_; }     // any C != 0
  Index most_rank() const;                           // of B + C by the number of rows and of C's entries

  // m(0) - m(p_hat): what the model promises. Never NaN for finite input.
  double decrease(const VectorView& p_hat) const;

  void matrix(Matrix& B) const;  // A'A + C, both triangles

  // The one-dimensional model t -> m(s + t u) - m(s) = a t^2 + b t.
  struct Quadratic {
    double a, b;
  };
  Quadratic along(const VectorView& s, const VectorView& u) const;

  double curvature(const VectorView& u, const VectorView& v) const;  // u'(A'A + C)v

 private:
  void map(const VectorView& u, Vector& scaled, Vector& image) const;

  const Reduced* rows_ = nullptr;
  Vector d_, C_, g_hat_;
  bool curved_ = false;
  mutable Matrix A_;
  mutable Vector scaled_u_, scaled_v_, image_u_, image_v_;  // d .* u, ... and R or H times it
};

}  // namespace marquardt
