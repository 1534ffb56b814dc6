// Normal equations:  (B + C + alpha I) p_hat = -g_hat  by U'U, one factorisation of n^3 / 3 operations per alpha.
//
//   slope   U'q = p_hat,  d||p_hat||/d alpha = -||q||^2 / ||p_hat||
//
// A pivot U_kk^2 that has shrunk to 1000 n epsilon of the diagonal entry it started from is mostly cancelled: column k
// nearly depends on the columns before it, whatever its scale, and the step would carry an error of a thousandth. Such
// a system, and one that is not positive definite to rounding, goes to the rank-revealing QR subproblem, which works on
// the rows' own triangle when they have one (full accuracy again) and on a semidefinite root of B + C otherwise; its
// step is of minimum norm at alpha = 0 and never NaN. The thousandth keeps ||p(alpha)|| continuous, well within the 1 %
// of a trust-region search, where alpha passes from one to the other.
// References: More & Sorensen (1983), Computing a trust region step, section 3; Higham, Accuracy and Stability, 10.1.
#include <cassert>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/linalg/subproblem.hpp"
#include "marquardt/linalg/upper.hpp"

namespace marquardt {
namespace {

class Cholesky final : public Subproblem {
 public:
  void factor(const Model& model) override {
    model_ = &model;
    fallback_ready_ = fell_back_ = false;
    const Index n = model.size();
    model.matrix(B_);
    U_.resize(n, n);
    q_.resize(n);
  }

  bool solve(double alpha, Vector& p_hat) override {
    assert(model_ && alpha >= 0);
    fell_back_ = false;
    U_ = B_;
    U_.diagonal().array() += alpha;
    if (factor_upper(U_) && independent(alpha)) {
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
    solve_upper_transposed(U_, q_);
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

  Form wants() const override { return Form::gram; }

 private:
  void solve_in_place(Vector& y) const {
    solve_upper_transposed(U_, y);
    solve_upper(U_, y);
  }

  bool independent(double alpha) const {
    const double least = 1000 * static_cast<double>(U_.rows()) * epsilon;
    for (Index k = 0; k < U_.rows(); ++k) {
      if (!(U_(k, k) * U_(k, k) > least * (B_(k, k) + alpha))) return false;
    }
    return true;
  }

  Subproblem& fallback() const {
    if (!fallback_) fallback_ = make_qr();
    if (!fallback_ready_) fallback_->factor(*model_);
    fallback_ready_ = true;
    return *fallback_;
  }

  const Model* model_ = nullptr;
  Matrix B_, U_;  // only the upper half of U_ counts
  Vector q_;
  bool fell_back_ = false;  // the last solve was the fallback's
  mutable std::unique_ptr<Subproblem> fallback_;
  mutable bool fallback_ready_ = false;  // it has factored the present model
};

}  // namespace

std::unique_ptr<Subproblem> make_cholesky() { return std::make_unique<Cholesky>(); }

}  // namespace marquardt
