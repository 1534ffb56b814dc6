// Normal equations:  (B + C + alpha I) p_hat = -g_hat  by LL', one factorisation of n^3 / 3 operations per alpha.
//
//   slope   L q = p_hat,  d||p_hat||/d alpha = -||q||^2 / ||p_hat||
//
// A pivot L_kk^2 that has shrunk to 1000 n epsilon of the diagonal entry it started from is mostly cancelled: column k
// nearly depends on the columns before it, whatever its scale, and the step would carry an error of a thousandth. Such
// a system, and one that is not positive definite to rounding, goes to the rank-revealing QR subproblem, which works on
// the rows' own triangle when they have one (full accuracy again) and on a semidefinite root of B + C otherwise; its
// step is of minimum norm at alpha = 0 and never NaN. The thousandth keeps ||p(alpha)|| continuous, well within the 1 %
// of a trust-region search, where alpha passes from one to the other. Rows that were found safe for normal equations
// bring the factor for alpha = 0 along (safe_rows.hpp).
// References: More & Sorensen (1983), Computing a trust region step, section 3; Higham, Accuracy and Stability, 10.1.
#include <cassert>
#include <cmath>
#include <utility>

#include "marquardt/linalg/cholesky.hpp"
#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/linalg/subproblem.hpp"

namespace marquardt {
namespace {

// What is left of a diagonal entry, times n, where a pivot counts as lost.
constexpr double lost = 1000 * epsilon;

class Cholesky final : public Subproblem {
 public:
  void factor(const Model& model) override {
    model_ = &model;
    fallback_ready_ = fell_back_ = formed_ = false;
    L_.resize(model.size(), model.size());
  }

  bool solve(double alpha, Vector& p_hat) override {
    assert(model_ && alpha >= 0);
    fell_back_ = false;
    if ((alpha == 0 && take_factor()) || find_factor(alpha)) {
      p_hat = -model_->gradient();
      solve_in_place(p_hat);
      if (p_hat.allFinite()) return true;
    }
    fell_back_ = true;
    return fallback().solve(alpha, p_hat);
  }

  double slope(const Vector& p_hat) override {
    if (fell_back_) return fallback().slope(p_hat);
    const double length = safe_norm(p_hat);
    if (length == 0) return 0;
    q_ = p_hat;
    solve_lower(L_, q_);
    const double q = safe_norm(q_);
    return -q * (q / length);
  }

  bool back_solve(const Vector& h, Vector& q) override {
    if (fell_back_) return fallback().back_solve(h, q);
    q = -h;
    solve_in_place(q);
    return q.allFinite();
  }

  // Asked of the rank-revealing factorisation: a factorisation without pivoting does not know.
  Index rank() const override { return fallback().rank(); }

 private:
  // The factor that the rows brought along, if they did and it is what is asked for.
  bool take_factor() {
    const Reduced& rows = model_->rows();
    const bool known = rows.form == Form::gram && rows.sigma > 0;
    if (!known || model_->has_curvature() || !(model_->d().array() > 0).all()) return false;
    scale_ = model_->d().cwiseProduct(rows.column_norms);
    const Index n = L_.cols();
    for (Index j = 0; j < n; ++j) L_.col(j).tail(n - j) = scale_.tail(n - j).cwiseProduct(rows.L.col(j).tail(n - j));
    return true;
  }

  bool find_factor(double alpha) {
    if (!std::exchange(formed_, true)) model_->matrix(B_);
    L_ = B_;
    L_.diagonal().array() += alpha;
    least_ = lost * static_cast<double>(L_.rows()) * L_.diagonal();
    return cholesky(L_, least_.data());
  }

  void solve_in_place(Vector& y) const {
    solve_lower(L_, y);
    solve_lower_transposed(L_, y);
  }

  Subproblem& fallback() const {
    if (!fallback_) fallback_ = make_qr();
    if (!fallback_ready_) fallback_->factor(*model_);
    fallback_ready_ = true;
    return *fallback_;
  }

  const Model* model_ = nullptr;
  Matrix B_, L_;  // only the lower half of L_ counts
  Vector least_, scale_, q_;
  bool formed_ = false;     // B_ is that of the present model
  bool fell_back_ = false;  // the last solve was the fallback's
  mutable std::unique_ptr<Subproblem> fallback_;
  mutable bool fallback_ready_ = false;  // it has factored the present model
};

}  // namespace

std::unique_ptr<Subproblem> make_cholesky() { return std::make_unique<Cholesky>(); }

}  // namespace marquardt
