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
// Eigenvalues below this many units of rounding of the largest are not known to be positive.
constexpr double unsure = 10;
// ||p_hat|| is met to this share of Delta, as in the secular equation of the plain model.
constexpr double tolerance = 0.01;
// Bisection in the logarithm needs a dozen to 1 %; Newton two to six.
constexpr int most_solves = 60;

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
  const double scale = normaliser(B_.cwiseAbs().maxCoeff(), 1000);
  B_ *= scale;
  reduced_.compute(B_);
  reduced_.matrixQ().evalTo(Q_, work_);
  diagonal_ = reduced_.diagonal();
  beside_ = reduced_.subDiagonal();
  eigen_.computeFromTridiagonal(diagonal_, beside_);
  lambda_ = eigen_.eigenvalues() / scale;
  work_.noalias() = Q_.transpose() * model.gradient();
  pull_.noalias() = eigen_.eigenvectors().transpose() * work_;
}

double Secant::length(double alpha) {
  along_ = -pull_.array() / (lambda_.array() + alpha);
  return safe_norm(along_);
}

void Secant::assemble(Vector& p_hat) {
  work_.noalias() = eigen_.eigenvectors() * along_;
  p_hat.noalias() = Q_ * work_;
}

// More & Sorensen: the full step if B is positive definite and it fits; else ||p(alpha)|| = Delta right of -lambda_1,
// by Newton on 1/||p||; in the hard case the smallest eigenvector fills the step up to Delta.
bool Secant::solve(double Delta, Vector& p_hat) {
  const double largest = lambda_.cwiseAbs().maxCoeff();
  if (lambda_[0] > unsure * epsilon * largest && length(0) <= Delta) {
    assemble(p_hat);
    return false;
  }
  double low = std::max(0.0, -lambda_[0]) + epsilon * largest, high = low + safe_norm(pull_) / Delta;
  double alpha = low, f = length(low);
  if (f < Delta) {  // the hard case: nothing pulls along the lowest eigenvector
    along_[0] += std::copysign(std::sqrt((Delta - f) * (Delta + f)), along_[0]);
  } else {
    for (int k = 0; k < most_solves && std::abs(f - Delta) > tolerance * Delta; ++k) {
      const double slope = -(along_.array().square() / (lambda_.array() + alpha)).sum() / f;
      (f > Delta ? low : high) = alpha;
      const double newton = alpha - (f - Delta) * f / (Delta * slope);
      alpha = newton > low && newton < high ? newton : std::sqrt(low) * std::sqrt(high);
      f = length(alpha);
    }
  }
  along_ *= Delta / safe_norm(along_);
  assemble(p_hat);
  return true;
}

}  // namespace marquardt
