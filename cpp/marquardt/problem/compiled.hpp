// Residuals and Jacobian that are compiled functions of the user's, known by their addresses.
#pragma once

#include <cstddef>
#include <stdexcept>

#include "marquardt/problem/residual.hpp"

namespace marquardt {

// Fills `out` at x, with r (m numbers) or J (m * n). Returns 0; a positive number where there is none at this x; a
// negative one to end the solve. The public C header, marquardt/callback.h, says the same in C.
using CompiledFunction = int (*)(const double* x, std::ptrdiff_t n, double* out, std::ptrdiff_t m, void* user);
// Fills r and, unless it is null, J.
using CompiledPair = int (*)(const double* x, std::ptrdiff_t n, double* r, std::ptrdiff_t m, double* J, void* user);

struct Compiled {
  CompiledFunction residual = nullptr, jacobian = nullptr;
  CompiledPair both = nullptr;  // in the place of the two
  Index m = 0;
  void *user = nullptr, *user_of_jacobian = nullptr;
  bool row_major = true;  // how J is to be filled

  bool has_jacobian() const { return both || jacobian; }
};

// A compiled function returned a negative number.
class CompiledEnded : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a function does not fill is NaN, hence not finite: a function that breaks off early, as one that Python runs
// behind a pointer does on an exception, is seen even if it returns 0.
class CompiledResidual : public Residual, public Function {
 public:
  explicit CompiledResidual(const Compiled& compiled) : compiled_(compiled) {}

  void value(const Vector& x, Vector& r) override;
  void jacobian(const Vector& x, const Vector& r, Jacobian& J) override;
  void values(const Matrix& X, Matrix& R) override;
  void values(const Eigen::MatrixXcd& X, Eigen::MatrixXcd& R) override;  // refused: the functions are real
  double precision() const override { return epsilon; }

 private:
  void fill(const double* x, Index n, double* r) const;

  Compiled compiled_;
  Vector r_;  // `both` fills r beside J
};

}  // namespace marquardt
