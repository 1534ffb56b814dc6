#include "marquardt/step/secant.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "marquardt/linalg/product.hpp"
#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// s and y as good as orthogonal: the update would divide by rounding.
constexpr double orthogonal = 1e-14;

}  // namespace

void Secant::forget() { known_ = false; }

double Secant::curvature(const Vector& p) const {
  multiply(S_, p, image_);
  return p.dot(image_);
}

void Secant::update(const Vector& x, const Vector& g, const Vector& pulled, const Point& here) {
  const Index n = x.size();
  s_ = here.x - x;
  y_ = here.g() - g;
  w_ = here.g() - pulled;
  const double sy = s_.dot(y_);
  if (!(std::abs(sy) > orthogonal * safe_norm(s_) * safe_norm(y_))) return;
  if (!std::exchange(known_, true)) S_.setZero(n, n);
  const double sSs = curvature(s_);
  const double tau = sSs != 0 ? std::min(1.0, std::abs(s_.dot(w_)) / std::abs(sSs)) : 1;
  w_ -= tau * image_;  // S s
  y_ /= sy;
  const double sw = s_.dot(w_);
  B_.resize(n, n);
  for (Index j = 0; j < n; ++j) B_.col(j) = tau * S_.col(j) + y_[j] * w_ + (w_[j] - sw * y_[j]) * y_;
  if (B_.allFinite()) S_.swap(B_);
}

void Secant::factor(const Model& model) {
  model.matrix(B_);
  for (Index j = 0; j < B_.cols(); ++j) B_.col(j) += model.d()[j] * model.d().cwiseProduct(S_.col(j));
  if (!ball_qp_) ball_qp_ = std::make_unique<BallQp>();
  ball_qp_->factor(B_, model.gradient());
}

bool Secant::solve(double Delta, Vector& p_hat) { return ball_qp_->solve(Delta, p_hat); }

}  // namespace marquardt
