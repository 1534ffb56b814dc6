// With D = diag(||J_j||), so that units do not decide about the rank:
//
//   (J'J)^-1 = D^-1 G^-1 D^-1,    G = D^-1 J'J D^-1 = V S^2 V'
//
// by Cholesky of G where that loses few digits, otherwise by the triangle of J and its singular values S, which shows
// dependent columns: those with S_n <= S_1 max(noise, m epsilon).
//
// Reference: Bates & Watts, Nonlinear Regression Analysis and Its Applications, 1988, chapter 2.
#include "marquardt/solve/covariance.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "marquardt/linalg/accumulator.hpp"
#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/linalg/triangle.hpp"

namespace marquardt {
namespace {

// Up to this condition number of G ten digits of its inverse are right, and S_n / S_1 is at least 1e-3: well above the
// noise of any Jacobian.
constexpr double well_conditioned = 1e6;

double norm_1(const Matrix& A) { return A.cwiseAbs().colwise().sum().maxCoeff(); }

// half half' = variance (J'J)^-1; false where G does not tell.
bool by_gram(const MatrixView& J, double scatter, Matrix& half) {
  const Index n = J.cols();
  Matrix G = Matrix::Zero(n, n);
  G.selfadjointView<Eigen::Lower>().rankUpdate(J.transpose());
  const Vector lengths = G.diagonal().cwiseSqrt();
  for (const double length : lengths) {
    if (!is_safe(length)) return false;  // NaN too
  }
  for (Index j = 0; j < n; ++j) {
    for (Index i = j; i < n; ++i) G(i, j) = G(j, i) = G(i, j) / (lengths[i] * lengths[j]);
  }
  const double size = norm_1(G);
  const Eigen::LLT<Eigen::Ref<Matrix>, Eigen::Lower> factors(G);  // in place
  if (factors.info() != Eigen::Success) return false;
  half.setIdentity(n, n);
  factors.matrixU().solveInPlace(half);  // G^-1 = half half', as G = U'U
  // ||G^-1||_1 <= || |half| |half|' ||_1, which is cheap and never too small.
  const Vector sums = half.cwiseAbs().rowwise().sum();
  const Vector columns = half.cwiseAbs().transpose() * Vector::Ones(n);
  if (!(size * sums.maxCoeff() * columns.maxCoeff() <= well_conditioned)) return false;
  half.array().colwise() *= scatter / lengths.array();
  return true;
}

// The same from the triangle; false where columns are dependent.
bool by_triangle(const MatrixView& J, double noise, double scatter, Matrix& half) {
  if (!J.allFinite()) return false;
  const Index n = J.cols();
  Accumulator rows(Form::triangle, n);
  rows.add(J, Vector::Zero(J.rows()));
  Matrix T = rows.reduced().R;
  const Vector lengths = rows.reduced().column_norms;
  if (!(lengths.minCoeff() > 0)) return false;
  T.array().rowwise() /= lengths.transpose().array();
  Vector unused = Vector::Zero(n);
  Eigen::VectorXi order = Eigen::VectorXi::LinSpaced(n, 0, static_cast<int>(n) - 1);
  pivot_columns(T, unused, order);
  Matrix L = T.transpose();
  orthogonalise(L, unused);  // columns s_i v_i
  const Vector s = L.colwise().norm();
  if (!(s[n - 1] > std::max(noise, static_cast<double>(J.rows()) * epsilon) * s[0])) return false;
  half.resize(n, n);
  for (Index k = 0; k < n; ++k) half.row(order[k]) = L.row(k).array() / s.transpose().array().square();
  half.array().colwise() *= scatter / lengths.array();
  return true;
}

Matrix columns_of(const MatrixView& J, const std::vector<Index>& free) {
  Matrix A(J.rows(), static_cast<Index>(free.size()));
  for (Index k = 0; k < A.cols(); ++k) A.col(k) = J.col(free[static_cast<std::size_t>(k)]);
  return A;
}

bool covariance_of_all(const MatrixView& J, double noise, double variance, Matrix& C) {
  const Index n = J.cols();
  if (n == 0) return true;  // an empty matrix has no norm
  Matrix half;
  const bool possible = J.rows() >= n && std::isfinite(variance);
  const double scatter = std::sqrt(variance);
  if (possible && (by_gram(J, scatter, half) || by_triangle(J, noise, scatter, half))) {
    C.setZero(n, n);
    C.selfadjointView<Eigen::Lower>().rankUpdate(half);
    C.triangularView<Eigen::StrictlyUpper>() = C.transpose();
    if (C.allFinite()) return true;
  }
  C.setConstant(n, n, infinity);
  return false;
}

}  // namespace

bool covariance(const MatrixView& J, const std::vector<Index>& free, double noise, double variance, Matrix& C) {
  const auto count = static_cast<Index>(free.size());
  if (count == J.cols()) return covariance_of_all(J, noise, variance, C);
  Matrix part;
  const bool determined = covariance_of_all(columns_of(J, free), noise, variance, part);
  C.setZero(J.cols(), J.cols());
  for (Index j = 0; j < count; ++j) {
    for (Index i = 0; i < count; ++i) {
      C(free[static_cast<std::size_t>(i)], free[static_cast<std::size_t>(j)]) = part(i, j);
    }
  }
  return determined;
}

}  // namespace marquardt
