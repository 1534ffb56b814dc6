// sigma from T with T'T = H, columns of length 1:  e = +-1 chosen so that T'y = e grows, T z = y, so that H z = e; then
// one step of inverse iteration, H w = z, and sigma^2 <= ||z|| / ||w||.
// Reference: Cline, Moler, Stewart & Wilkinson (1979), An estimate for the condition number of a matrix.
#include "marquardt/linalg/safe_rows.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/linalg/upper.hpp"

namespace marquardt {
namespace {

// How much better than least_sigma a triangle must be before the next point is tried in Gram form: a digit, so that
// points about the limit do not pay for both forms in turns.
constexpr double clearly_safe = 10 * least_sigma;

// T'y = e, each e_k = +-1 such that |y_k| is the larger.
void grow(const Matrix& T, Vector& y) {
  for (Index k = 0; k < T.rows(); ++k) {
    const double s = T.col(k).head(k).dot(y.head(k));
    y[k] = (s > 0 ? -1 - s : 1 - s) / T(k, k);
  }
}

}  // namespace

// False if there is none: a zero or overflowing column, a pivot that vanishes.
bool ScaledSigma::scaled_factor(const Reduced& rows) {
  const Vector& norms = rows.column_norms;
  const Index n = norms.size();
  if (!(norms.minCoeff() > 0) || !norms.allFinite()) return false;
  T_.resize(n, n);
  if (rows.form == Form::triangle) {
    T_.noalias() = rows.R * norms.cwiseInverse().asDiagonal();
    return (T_.diagonal().array() != 0).all() && T_.allFinite();
  }
  inverse_norms_ = norms.cwiseInverse();
  for (Index j = 0; j < n; ++j) {
    T_.col(j).head(j + 1) = inverse_norms_[j] * rows.H.col(j).head(j + 1).cwiseProduct(inverse_norms_.head(j + 1));
  }
  return factor_upper(T_);
}

double ScaledSigma::operator()(const Reduced& rows) {
  if (rows.rows < rows.column_norms.size() || !scaled_factor(rows)) return 0;
  y_.resize(T_.rows());
  grow(T_, y_);
  solve_upper(T_, y_);
  const double length = safe_norm(y_);
  if (!std::isfinite(length)) return 0;
  z_ = y_ / length;
  solve_upper_transposed(T_, z_);
  solve_upper(T_, z_);
  const double inverse = safe_norm(z_);
  return std::isfinite(inverse) ? std::min(1.0, 1 / std::sqrt(inverse)) : 0;
}

const Reduced& SafeRows::reduce(const StridedView& J, const VectorView& r) {
  if (!triangle_first_ && J.rows() >= J.cols()) {
    const Reduced& rows = gram_.reduce(J, r);
    if (rows.g.allFinite() && sigma_(rows) >= least_sigma) return rows;
  }
  const Reduced& rows = triangle_.reduce(J, r);
  triangle_first_ = !(sigma_(rows) >= clearly_safe);
  return rows;
}

}  // namespace marquardt
