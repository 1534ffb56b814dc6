#include "marquardt/step/boxed_step.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// ||p_hat|| is met to this share of Delta; the step is then scaled to it where it is longer.
constexpr double tolerance = 0.1;
constexpr int most_solves = 20;

}  // namespace

void BoxedStep::set_model(const Point& here, const Vector& D) {
  const Index n = box_.size();
  d_ = D.cwiseInverse();
  C_.setZero(n);
  lower_.resize(n);
  upper_.resize(n);
  for (Index j = 0; j < n; ++j) {
    if (box_.fixed(j)) {
      d_[j] = 0;
      C_[j] = 1;
    }
    lower_[j] = box_.fixed(j) ? 0 : (box_.lower[j] - here.x[j]) / d_[j];
    upper_[j] = box_.fixed(j) ? 0 : (box_.upper[j] - here.x[j]) / d_[j];
  }
  model_.set(here.rows, d_, C_);
  model_.matrix(matrix_);
}

// The box QP at the damping alpha; its length falls with alpha.
double BoxedStep::length(double alpha, Vector& p_hat) {
  damped_ = matrix_;
  damped_.diagonal().array() += alpha;
  if (std::exchange(warm_, true)) {
    box_qp_.solve(damped_, model_.gradient(), lower_, upper_, active_, p_hat);
  } else {
    p_hat.setZero(box_.size());
    box_qp_.solve(damped_, model_.gradient(), lower_, upper_, p_hat);
  }
  active_ = box_qp_.active();
  return safe_norm(p_hat);
}

// The damping at which the length is about Delta; returns the length.
double BoxedStep::meet(double Delta, double alpha, Vector& p_hat) {
  double low = 0, high = infinity, reached = infinity;
  if (!(alpha > 0)) alpha = epsilon * matrix_.diagonal().maxCoeff();
  for (int k = 0; k < most_solves; ++k) {
    reached = length(alpha, p_hat);
    if (std::abs(reached - Delta) <= tolerance * Delta) break;
    (reached > Delta ? low : high) = alpha;
    // a power law of exponent one: what heavy damping looks like
    double next = alpha * reached / Delta;
    if (!(next > low && next < high)) next = low > 0 ? std::sqrt(low) * std::sqrt(high) : 0.01 * high;
    if (reached > Delta && !std::isfinite(high)) next = std::max(next, 4 * alpha);
    alpha = next;
  }
  return reached;
}

bool BoxedStep::propose(const Point& here, const Vector& D, double Delta, double alpha, Vector& p_hat, Trial& trial) {
  set_model(here, D);
  double reached = length(0, p_hat);
  const bool cut = reached > Delta;
  if (cut) reached = meet(Delta, alpha, p_hat);
  if (reached > Delta) p_hat *= Delta / reached;
  trial.predicted = model_.decrease(p_hat);
  trial.p = d_.cwiseProduct(p_hat);
  trial.x = here.x + trial.p;
  for (Index j = 0; j < box_.size() && reached <= Delta; ++j) {  // on a wall means on it to the last bit
    if (active_[j] < 0) trial.x[j] = box_.lower[j];
    if (active_[j] > 0) trial.x[j] = box_.upper[j];
  }
  return cut;
}

}  // namespace marquardt
