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
bool ScaledSigma::scaled_factor(const Reduced& rows, Matrix& L) {
  const Vector& norms = rows.column_norms;
  const Index n = norms.size();
  if (!(norms.minCoeff() > 0) || !norms.allFinite()) return false;
  L.resize(n, n);
  inverse_norms_ = norms.cwiseInverse();
  if (rows.form == Form::triangle) {
    L.noalias() = inverse_norms_.asDiagonal() * rows.R.transpose();
    return (L.diagonal().array() != 0).all() && L.allFinite();
  }
  for (Index j = 0; j < n; ++j) {
    L.col(j).tail(n - j) = inverse_norms_[j] * rows.H.col(j).tail(n - j).cwiseProduct(inverse_norms_.tail(n - j));
  }
  least_.setZero(n);
  return cholesky(L, least_.data()) && L.diagonal().allFinite();
}

double ScaledSigma::estimate(const Reduced& rows, Matrix& L) {
  if (rows.rows < rows.column_norms.size() || !scaled_factor(rows, L)) return 0;
  solve_growing(L, y_);
  solve_lower_transposed(L, y_);
  const double length = safe_norm(y_);
  if (!std::isfinite(length)) return 0;
  z_ = y_ / length;
  solve_lower(L, z_);
  solve_lower_transposed(L, z_);
  const double inverse = safe_norm(z_);
  return std::isfinite(inverse) ? std::min(1.0, 1 / std::sqrt(inverse)) : 0;
}

double ScaledSigma::operator()(const Reduced& rows) { return rows.sigma >= 0 ? rows.sigma : estimate(rows, L_); }

void ScaledSigma::fill(Reduced& rows) { rows.sigma = estimate(rows, rows.L); }

void SafeRows::use_threads(Index threads) {
  gram_.use_threads(threads);
  if (triangle_) triangle_->use_threads(threads);
}

Accumulator& SafeRows::triangle() {
  if (!triangle_) triangle_ = std::make_unique<Accumulator>(Form::triangle, gram_.parameters(), gram_.threads());
  return *triangle_;
}

void SafeRows::reduce(const StridedView& J, const VectorView& r, Reduced& rows) {
  if (!triangle_first_ && J.rows() >= J.cols()) {
    copy(gram_.reduce(J, r), rows);
    sigma_.fill(rows);
    if (rows.g.allFinite() && rows.sigma >= least_sigma) return;
  }
  copy(triangle().reduce(J, r), rows);
  sigma_.fill(rows);
  triangle_first_ = !(rows.sigma >= clearly_safe);
}

}  // namespace marquardt
