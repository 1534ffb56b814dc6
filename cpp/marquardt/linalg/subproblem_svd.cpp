// SVD of the small triangle once, then every alpha costs n^2:
//
//   T = U diag(sigma) V'            T'T = B + C (see triangle.hpp)
//   p(alpha) = -V c,  c_i = sigma_i (U'w)_i / (sigma_i^2 + alpha)
//   slope    d||p||/d alpha = -sum c_i^2 / (sigma_i^2 + alpha) / ||p||
//
// Singular values up to n epsilon times the largest are rounding noise and are dropped, at alpha = 0 and, so that
// p(alpha) tends to the minimum-norm step as alpha falls, at every other. With Gram rows T is a semidefinite root of
// the Gram matrix, accurate to what that matrix holds (see subproblem_qr.cpp).
// Eigen's one-sided Jacobi up to n = 16, divide and conquer above; the latter allocates inside by design.
// Reference: Golub & Van Loan, Matrix Computations, 4th ed., 6.1 (ridge regression by SVD) and 8.6.
#include <Eigen/SVD>
#include <cassert>
#include <cmath>

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
    if (n <= 16) {  // below this size Jacobi is the faster one, and it allocates nothing when used again
      decompose_by_jacobi();
    } else {
      divide_.compute(root_.T, options);
      if (divide_.info() == Eigen::Success && divide_.singularValues().allFinite()) {
        keep(divide_);
      } else {
        decompose_by_jacobi();
      }
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
    const double length = c_.stableNorm();
    if (length == 0) return 0;
    double sum = 0;
    for (Index i = 0; i < rank_; ++i) {
      const double share = c_[i] / length;
      sum += share * share / (sigma_[i] * sigma_[i] + alpha_);
    }
    return -root_.s * root_.s * root_.s * length * sum;
  }

  bool back_solve(const Vector& h, Vector& q) override {
    if (alpha_ == 0 && rank_ < c_.size()) return false;
    for (Index k = 0; k < step_.size(); ++k) step_[k] = -root_.s * h[root_.order[k]];
    weights_of_h_.noalias() = V_.transpose() * step_;
    for (Index i = 0; i < rank_; ++i) weights_of_h_[i] /= sigma_[i] * sigma_[i] + alpha_;
    // what is below the rank has sigma = 0
    weights_of_h_.tail(c_.size() - rank_) /= alpha_ > 0 ? alpha_ : 1;
    step_.noalias() = V_ * weights_of_h_;
    place_step(root_, step_, q);
    return q.allFinite();
  }

  Index rank() const override { return rank_; }
  Form wants() const override { return Form::triangle; }

 private:
  static constexpr unsigned options = Eigen::ComputeFullU | Eigen::ComputeFullV;

  void decompose_by_jacobi() {
    jacobi_.compute(root_.T, options);
    keep(jacobi_);
  }

  template <typename Decomposition>
  void keep(const Decomposition& svd) {
    sigma_ = svd.singularValues();
    V_ = svd.matrixV();
    weights_.noalias() = svd.matrixU().transpose() * root_.w;
    const double threshold = static_cast<double>(sigma_.size()) * epsilon * sigma_[0];
    rank_ = (sigma_.array() > threshold).count();
  }

  Root root_;
  Eigen::JacobiSVD<Matrix, Eigen::NoQRPreconditioner> jacobi_;  // the matrix is square: nothing to precondition
  Eigen::BDCSVD<Matrix> divide_;
  Matrix V_;
  Vector sigma_, weights_;  // weights = U'w
  Vector weights_of_h_;
  Vector c_, step_;  // of the last solve, in the order and scale of the triangle
  double alpha_ = 0;
  Index rank_ = 0;
};

}  // namespace

std::unique_ptr<Subproblem> make_svd() { return std::make_unique<Svd>(); }

}  // namespace marquardt
