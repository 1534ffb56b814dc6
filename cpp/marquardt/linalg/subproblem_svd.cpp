// SVD of the small triangle once, then every alpha costs n^2:
//
//   T = U diag(sigma) V'            T'T = B + C (see triangle.hpp)
//   p(alpha) = -V c,  c_i = sigma_i (U'w)_i / (sigma_i^2 + alpha)
//   slope    d||p||/d alpha = -sum c_i^2 / (sigma_i^2 + alpha) / ||p||
//
// Singular values up to n epsilon times the largest are rounding noise and are dropped, at alpha = 0 and, so that
// p(alpha) tends to the minimum-norm step as alpha falls, at every other. With Gram rows T is a semidefinite root of
// the Gram matrix, accurate to what that matrix holds (see subproblem_qr.cpp).
// One-sided Jacobi on the pivoted triangle up to n = 16, Eigen's divide and conquer above, which allocates inside by
// design.
// Reference: Golub & Van Loan, Matrix Computations, 4th ed., 6.1 (ridge regression by SVD) and 8.6.
#include <Eigen/SVD>
#include <cassert>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/linalg/subproblem.hpp"
#include "marquardt/linalg/triangle.hpp"

namespace marquardt {
namespace {

class Svd final : public Subproblem {
 public:
  void factor(const Model& model) override {
    square_root(model, root_);
    const Index n = model.size();
    weights_.resize(n);
    c_.resize(n);
    along_h_.resize(n);
    if (n <= 16) {  // below this size Jacobi is the faster one, and it allocates nothing when used again
      decompose_by_jacobi();
      return;
    }
    divide_.compute(root_.T, Eigen::ComputeFullU | Eigen::ComputeFullV);
    if (divide_.info() == Eigen::Success && divide_.singularValues().allFinite()) {
      sigma_ = divide_.singularValues();
      V_ = divide_.matrixV();
      weights_.noalias() = divide_.matrixU().transpose() * root_.w;
      cut_at_rank();
    } else {
      decompose_by_jacobi();
    }
  }

  bool solve(double alpha, Vector& p_hat) override {
    assert(alpha >= 0 && c_.size() > 0);
    const Index n = c_.size();
    alpha_ = alpha * root_.s * root_.s;
    for (Index i = 0; i < n; ++i) {
      // 1 / (sigma + alpha / sigma): no square to over- or underflow
      c_[i] = i < rank_ ? weights_[i] / (sigma_[i] + alpha_ / sigma_[i]) : 0;
    }
    step_.noalias() = V_ * c_;
    step_ = -step_;
    place_step(root_, step_, p_hat);
    return p_hat.allFinite();
  }

  double slope(const Vector&) override {
    const double length = safe_norm(c_);
    if (length == 0) return 0;
    double sum = 0;
    for (Index i = 0; i < rank_; ++i) {
      const double share = c_[i] / length;
      sum += share * share / (sigma_[i] * sigma_[i] + alpha_);
    }
    return -root_.s * root_.s * root_.s * length * sum;
  }

  bool back_solve(const Vector& h, Vector& q) override {
    const Index n = c_.size();
    if (alpha_ == 0 && rank_ < n) return false;
    for (Index k = 0; k < n; ++k) step_[k] = root_.s * h[root_.order[k]];
    auto along = along_h_.head(rank_);
    along.noalias() = V_.leftCols(rank_).transpose() * step_;
    if (rank_ == n) {
      step_.setZero();
    } else {  // outside the span of V: sigma = 0
      step_.noalias() -= V_.leftCols(rank_) * along;
      step_ /= -alpha_;
    }
    for (Index i = 0; i < rank_; ++i) along[i] /= sigma_[i] * sigma_[i] + alpha_;
    step_.noalias() -= V_.leftCols(rank_) * along;
    place_step(root_, step_, q);
    return q.allFinite();
  }

  Index rank() const override { return rank_; }

 private:
  // V's columns beyond the rank are not needed, and zero.
  void decompose_by_jacobi() {
    const Index n = c_.size();
    pivot_columns(root_.T, root_.w, root_.order);
    V_ = root_.T.transpose();
    weights_ = root_.w;
    orthogonalise(V_, weights_);
    sigma_.resize(n);
    for (Index i = 0; i < n; ++i) sigma_[i] = safe_norm(V_.col(i));
    cut_at_rank();
    for (Index i = 0; i < rank_; ++i) V_.col(i) /= sigma_[i];
    V_.rightCols(n - rank_).setZero();
  }

  void cut_at_rank() {
    const double threshold = static_cast<double>(sigma_.size()) * epsilon * sigma_[0];
    const Index most = root_.model->most_rank();
    rank_ = 0;
    while (rank_ < most && sigma_[rank_] > threshold) ++rank_;
  }

  Root root_;
  Eigen::BDCSVD<Matrix> divide_;
  Matrix V_;
  Vector sigma_, weights_;  // weights = U'w
  Vector along_h_;          // V'h
  Vector c_, step_;         // of the last solve, in the order and scale of the triangle
  double alpha_ = 0;
  Index rank_ = 0;
};

}  // namespace

std::unique_ptr<Subproblem> make_svd() { return std::make_unique<Svd>(); }

}  // namespace marquardt
