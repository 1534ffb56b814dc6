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

void CompiledResidual::jacobian(const Vector& x, const Vector& /*r*/, Matrix& J) {
  const Index m = compiled_.m, n = x.size();
  J.resize(m, n);
  const bool in_place = !compiled_.row_major || m == 1 || n == 1;  // one row or column has one layout
  if (!in_place) rows_.resize(m * n);
  double* out = in_place ? J.data() : rows_.data();
  std::fill_n(out, m * n, nan);
  int code;
  if (compiled_.both) {
    r_.resize(m);
    code = compiled_.both(x.data(), n, r_.data(), m, out, compiled_.user);
  } else {
    code = compiled_.jacobian(x.data(), n, out, m, compiled_.user_of_jacobian);
  }
  using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  if (!filled("jac", code)) {
    J.setConstant(nan);
  } else if (!in_place) {
    J = Eigen::Map<const Rows>(rows_.data(), m, n);
  }
}

void CompiledResidual::values(const Matrix& X, Matrix& R) {
  R.resize(compiled_.m, X.cols());
  for (Index k = 0; k < X.cols(); ++k) fill(X.col(k).data(), X.rows(), R.col(k).data());
}

void CompiledResidual::values(const Eigen::MatrixXcd& /*X*/, Eigen::MatrixXcd& /*R*/) {
  throw std::invalid_argument("jac='cs' needs a function of complex numbers, and a compiled fun is one of real ones");
}

}  // namespace marquardt
