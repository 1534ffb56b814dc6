// Calls compiled functions: r = residual(x), J = jacobian(x), with nothing but a test of what they return around it.
#include "marquardt/problem/compiled.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace marquardt {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Whether a function had a result to give.
bool filled(const char* who, int code) {
  if (code >= 0) return code == 0;
  throw CompiledEnded(std::string("the compiled ") + who + " returned " + std::to_string(code) +
                      ", which ends the solve");
}

}  // namespace

void CompiledResidual::fill(const double* x, Index n, double* r) const {
  const Index m = compiled_.m;
  std::fill_n(r, m, nan);
  const int code = compiled_.both ? compiled_.both(x, n, r, m, nullptr, compiled_.user)
                                  : compiled_.residual(x, n, r, m, compiled_.user);
  if (!filled("fun", code)) std::fill_n(r, m, nan);
}

void CompiledResidual::value(const Vector& x, Vector& r) {
  r.resize(compiled_.m);
  fill(x.data(), x.size(), r.data());
}

void CompiledResidual::jacobian(const Vector& x, const Vector& /*r*/, Jacobian& J) {
  const Index m = compiled_.m, n = x.size();
  Matrix& own = compiled_.row_major ? J.own_transposed() : J.own();
  own.resize(compiled_.row_major ? n : m, compiled_.row_major ? m : n);
  own.setConstant(nan);
  int code;
  if (compiled_.both) {
    r_.resize(m);
    code = compiled_.both(x.data(), n, r_.data(), m, own.data(), compiled_.user);
  } else {
    code = compiled_.jacobian(x.data(), n, own.data(), m, compiled_.user_of_jacobian);
  }
  if (!filled("jac", code)) own.setConstant(nan);
}

void CompiledResidual::values(const Matrix& X, Matrix& R) {
  R.resize(compiled_.m, X.cols());
  for (Index k = 0; k < X.cols(); ++k) fill(X.col(k).data(), X.rows(), R.col(k).data());
}

void CompiledResidual::values(const Eigen::MatrixXcd& /*X*/, Eigen::MatrixXcd& /*R*/) {
  throw std::invalid_argument("jac='cs' needs a function of complex numbers, and a compiled fun is one of real ones");
}

}  // namespace marquardt
