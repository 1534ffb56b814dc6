// What a user supplies: residuals r(x), with or without their Jacobian.
#pragma once

#include "marquardt/base/types.hpp"
#include "marquardt/problem/jacobian.hpp"

namespace marquardt {

// r and J at a point. Either throws, or fills its result; entries may be NaN or infinite, the Problem deals with them.
class Residual {
 public:
  virtual ~Residual() = default;
  virtual void value(const Vector& x, Vector& r) = 0;  // sizes r; the size never changes afterwards
  virtual void jacobian(const Vector& x, const Vector& r, Jacobian& J) = 0;
  virtual Index difference_evaluations() const { return 0; }   // residual evaluations spent on derivatives
  virtual double derivative_error() const { return epsilon; }  // relative error to expect in a column of J
  virtual double precision() const { return epsilon; }  // unit of rounding that r is computed in; known once r is
  virtual bool refinable() const { return false; }      // whether J can be had more accurately, at a price
  virtual void refine() {}                              // from now on it is
};

// Residuals without derivatives; a Differenced makes a Residual of them.
class Function {
 public:
  virtual ~Function() = default;
  virtual void value(const Vector& x, Vector& r) = 0;
  // Many points at once, a point a column: X is n x k, R becomes m x k.
  virtual void values(const Matrix& X, Matrix& R) = 0;
  virtual void values(const Eigen::MatrixXcd& X, Eigen::MatrixXcd& R) = 0;
  virtual double precision() const { return epsilon; }  // as for a Residual
};

}  // namespace marquardt
