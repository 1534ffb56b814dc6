#include "marquardt/linalg/ball_qp.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// Eigenvalues below this many units of rounding of the largest are not known to be positive.
constexpr double unsure = 10;
// ||p|| is met to this share of Delta, as in the secular equation.
constexpr double tolerance = 0.01;
// Bisection in the logarithm needs a dozen to 1 %; Newton two to six.
constexpr int most_solves = 60;

}  // namespace

void BallQp::factor(const Matrix& B, const Vector& g) {
  const double scale = normaliser(B.cwiseAbs().maxCoeff(), 1000);
  reduced_.compute(scale * B);
  reduced_.matrixQ().evalTo(Q_, work_);
  diagonal_ = reduced_.diagonal();
  beside_ = reduced_.subDiagonal();
  eigen_.computeFromTridiagonal(diagonal_, beside_);
  lambda_ = eigen_.eigenvalues() / scale;
  work_.noalias() = Q_.transpose() * g;
  pull_.noalias() = eigen_.eigenvectors().transpose() * work_;
}

double BallQp::length(double alpha) {
  along_ = -pull_.array() / (lambda_.array() + alpha);
  return safe_norm(along_);
}

void BallQp::assemble(Vector& p) {
  work_.noalias() = eigen_.eigenvectors() * along_;
  p.noalias() = Q_ * work_;
}

// More & Sorensen: the full step if B is positive definite and it fits; else ||p(alpha)|| = Delta right of -lambda_1,
// by Newton on 1/||p||; in the hard case the smallest eigenvector fills the step up to Delta.
bool BallQp::solve(double Delta, Vector& p) {
  const double largest = lambda_.cwiseAbs().maxCoeff();
  if (lambda_[0] > unsure * epsilon * largest && length(0) <= Delta) {
    assemble(p);
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
  assemble(p);
  return true;
}

}  // namespace marquardt
