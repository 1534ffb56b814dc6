// sigma from L with LL' = H, rows of length 1:  e = +-1 chosen so that y with L y = e grows, L'z = y, so that H z = e;
// then one step of inverse iteration, H w = z, and sigma^2 <= ||z|| / ||w||.
// Reference: Cline, Moler, Stewart & Wilkinson (1979), An estimate for the condition number of a matrix.
#include "marquardt/linalg/safe_rows.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/cholesky.hpp"
#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// How much better than least_sigma a triangle must be before the next point is tried in Gram form: a digit, so that
// points about the limit do not pay for both forms in turns.
constexpr double clearly_safe = 10 * least_sigma;

}  // namespace

// False if there is none: a zero or overflowing column, a pivot that vanishes.
bool ScaledSigma::scaled_factor(const Reduced& rows) {
  const Vector& norms = rows.column_norms;
  const Index n = norms.size();
  if (!(norms.minCoeff() > 0) || !norms.allFinite()) return false;
  L_.resize(n, n);
  inverse_norms_ = norms.cwiseInverse();
  if (rows.form == Form::triangle) {
    L_.noalias() = inverse_norms_.asDiagonal() * rows.R.transpose();
    return (L_.diagonal().array() != 0).all() && L_.allFinite();
  }
  for (Index j = 0; j < n; ++j) {
    L_.col(j).tail(n - j) = inverse_norms_[j] * rows.H.col(j).tail(n - j).cwiseProduct(inverse_norms_.tail(n - j));
  }
  least_.setZero(n);
  return cholesky(L_, least_.data()) && L_.diagonal().allFinite();
}

double ScaledSigma::operator()(const Reduced& rows) {
  if (rows.rows < rows.column_norms.size() || !scaled_factor(rows)) return 0;
  solve_growing(L_, y_);
  solve_lower_transposed(L_, y_);
  const double length = safe_norm(y_);
  if (!std::isfinite(length)) return 0;
  z_ = y_ / length;
  solve_lower(L_, z_);
  solve_lower_transposed(L_, z_);
  const double inverse = safe_norm(z_);
  return std::isfinite(inverse) ? std::min(1.0, 1 / std::sqrt(inverse)) : 0;
}

void SafeRows::use_threads(Index threads) {
  gram_.use_threads(threads);
  if (triangle_) triangle_->use_threads(threads);
}

Accumulator& SafeRows::triangle() {
  if (!triangle_) triangle_.emplace(Form::triangle, gram_.parameters(), gram_.threads());
  return *triangle_;
}

const Reduced& SafeRows::reduce(const StridedView& J, const VectorView& r) {
  if (!triangle_first_ && J.rows() >= J.cols()) {
    const Reduced& rows = gram_.reduce(J, r);
    if (rows.g.allFinite() && sigma_(rows) >= least_sigma) return rows;
  }
  const Reduced& rows = triangle().reduce(J, r);
  triangle_first_ = !(sigma_(rows) >= clearly_safe);
  return rows;
}

}  // namespace marquardt
