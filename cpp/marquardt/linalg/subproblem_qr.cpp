// Rank-revealing QR once, sqrt(alpha) I rotated in per alpha:
//
//   T P = Q R                       pivoted, T'T = B + C (see triangle.hpp); rank from the pivots
//   alpha > 0    [R; sqrt(alpha) I] = Q' [S; 0],  S p = -u:  orthogonal, safe at any rank and conditioning
//   alpha = 0    R p = -c at full rank; else the minimum-norm step of the first `rank` rows, R_1 = L'Z',
//                L'y = -c_1,  p = Z y  (complete orthogonal decomposition)
//   slope        S'q = p (or L q = y),  d||p||/d alpha = -||q||^2 / ||p||
//
// Rows below the rank are rounding noise and count as zero at every alpha, so that p(alpha) tends to the minimum-norm
// step as alpha falls. With Gram rows T is a semidefinite root of the Gram matrix, accurate to what that matrix holds:
// directions below sqrt(n epsilon) of their column are lost there, and steps along them are zero.
// References: More (1978), The Levenberg-Marquardt algorithm: implementation and theory, section 3;
// Golub & Van Loan, Matrix Computations, 4th ed., 5.4 and 5.5.
#include <Eigen/Householder>
#include <cassert>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/linalg/subproblem.hpp"
#include "marquardt/linalg/triangle.hpp"

namespace marquardt {
namespace {

class Qr final : public Subproblem {
 public:
  explicit Qr(double rank_tolerance) : rank_tolerance_(rank_tolerance) {}

  void factor(const Model& model) override {
    square_root(model, root_);
    pivot_columns(root_.T, root_.w, root_.order);
    cut_at_rank();
    basis_ready_ = false;
  }

  bool solve(double alpha, Vector& p_hat) override {
    assert(alpha >= 0 && root_.T.size() > 0);
    const Index n = root_.T.cols();
    const double damping = std::sqrt(alpha) * root_.s;
    if (damping > 0) {
      how_ = How::damped;
      solve_damped(damping);
    } else if (rank_ == n) {
      how_ = How::full;
      step_ = -root_.w;
      root_.T.triangularView<Eigen::Upper>().solveInPlace(step_);
    } else {
      how_ = How::minimum_norm;
      solve_minimum_norm();
    }
    place_step(root_, step_, p_hat);
    return p_hat.allFinite();
  }

  double slope(const Vector& p_hat) override {
    const double length = safe_norm(p_hat);
    if (length == 0) return 0;
    for (Index k = 0; k < step_.size(); ++k) q_[k] = p_hat[root_.order[k]];
    if (how_ == How::damped) {
      damped_.triangularView<Eigen::Upper>().transpose().solveInPlace(q_);
    } else if (how_ == How::full) {
      root_.T.triangularView<Eigen::Upper>().transpose().solveInPlace(q_);
    } else {
      q_.head(rank_) = root_.s * y_.head(rank_);
      q_.tail(q_.size() - rank_).setZero();
      auto y = q_.head(rank_);
      basis_.topLeftCorner(rank_, rank_).triangularView<Eigen::Upper>().solveInPlace(y);
    }
    const double q = root_.s * safe_norm(q_);
    return -q * (q / length);
  }

  bool back_solve(const Vector& h, Vector& q) override {
    if (how_ == How::minimum_norm) return false;
    for (Index k = 0; k < q_.size(); ++k) q_[k] = -root_.s * h[root_.order[k]];
    const Matrix& S = how_ == How::damped ? damped_ : root_.T;
    S.triangularView<Eigen::Upper>().transpose().solveInPlace(q_);
    S.triangularView<Eigen::Upper>().solveInPlace(q_);
    place_step(root_, q_, q);
    return q.allFinite();
  }

  Index rank() const override { return rank_; }

 private:
  enum class How { full, minimum_norm, damped };

  void cut_at_rank() {
    const Index n = root_.T.cols();
    const double tolerance = rank_tolerance_ > 0 ? rank_tolerance_ : static_cast<double>(n) * epsilon;
    const double threshold = tolerance * std::abs(root_.T(0, 0));
    const Index most = root_.model->most_rank();
    rank_ = 0;
    while (rank_ < most && std::abs(root_.T(rank_, rank_)) > threshold) ++rank_;
    root_.T.bottomRows(n - rank_).setZero();
    root_.w.tail(n - rank_).setZero();
    step_.resize(n);
    q_.resize(n);
  }

  void solve_damped(double damping) {
    damped_ = root_.T;
    step_ = root_.w;
    root_.diagonal.setConstant(damped_.cols(), damping);
    fold_diagonal(root_.diagonal, damped_, step_, root_.fill);
    step_ = -step_;
    damped_.triangularView<Eigen::Upper>().solveInPlace(step_);
  }

  void solve_minimum_norm() {
    const Index n = root_.T.cols();
    if (!basis_ready_) find_basis();
    y_ = -root_.w;
    auto y = y_.head(rank_);
    basis_.topLeftCorner(rank_, rank_).triangularView<Eigen::Upper>().transpose().solveInPlace(y);
    step_ = y_;
    step_.tail(n - rank_).setZero();
    for (Index k = rank_ - 1; k >= 0; --k) {
      auto rest = step_.tail(n - k);
      rest.applyHouseholderOnTheLeft(basis_.col(k).tail(n - k - 1), coefficients_[k], scratch_.data());
    }
  }

  // R_1' = Z [L; 0] for the first `rank` rows R_1 of the triangle, Z as reflectors below the diagonal
  void find_basis() {
    const Index n = root_.T.cols();
    basis_.resize(n, n);
    coefficients_.resize(n);
    scratch_.resize(n);
    basis_.leftCols(rank_) = root_.T.topRows(rank_).transpose();
    for (Index k = 0; k < rank_; ++k) {
      double beta;
      auto column = basis_.col(k).tail(n - k);
      column.makeHouseholderInPlace(coefficients_[k], beta);
      basis_(k, k) = beta;
      auto right = basis_.block(k, k + 1, n - k, rank_ - k - 1);
      right.applyHouseholderOnTheLeft(basis_.col(k).tail(n - k - 1), coefficients_[k], scratch_.data());
    }
    basis_ready_ = true;
  }

  double rank_tolerance_;
  Root root_;  // after factor: the pivoted triangle R, c in w
  Index rank_ = 0;
  How how_ = How::full;  // what the last solve did
  Matrix damped_;        // S
  Vector step_, y_, q_;  // in the order and scale of the triangle
  Matrix basis_;         // L and Z
  Vector coefficients_, scratch_;
  bool basis_ready_ = false;
};

}  // namespace

std::unique_ptr<Subproblem> make_qr(double rank_tolerance) { return std::make_unique<Qr>(rank_tolerance); }

}  // namespace marquardt
