// Levenberg-Marquardt: the step of (J'J + lambda D^2) p = -g, D the running maximum of the column norms. A step that
// leaves the box is replaced by the exact minimiser of the same damped model in the box:
//   min 1/2 p'(J'J + lambda D^2) p + g'p   subject to   lower - x <= p <= upper - x.
// A free step that stays in the box is bent along the path's curvature (curvature.hpp).
// In scaled variables p_hat = D p the damping is lambda I and the box stays a box.
// References: Marquardt (1963); More (1978) for D; Nielsen (1999), Damping parameter in Marquardt's method, for lambda.
#include <algorithm>
#include <cmath>

#include "marquardt/linalg/box_qp.hpp"
#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/step/curvature.hpp"
#include "marquardt/step/step.hpp"

namespace marquardt {
namespace {

// The most that one good step lowers lambda. Nielsen's third is slow where lambda starts ten digits too high; a fifth
// saves 15 % of the Jacobians over the test problems, a tenth gives them back in rejected trials.
constexpr double least_factor = 0.2;

class LevenbergMarquardt : public Step {
 public:
  LevenbergMarquardt(const Options& options, const Box& box, SubproblemKind kind, Vector D)
      : options_(options), box_(box), scaling_(std::move(D)), subproblem_(make_subproblem(kind)) {}

  void admit(Vector& x) const override { box_.project(x); }
  void start(const Point& here) override;
  void adopt(const Point& here) override;
  const Trial& propose(const Point& here) override;
  void learn(const Point& here, const Value& there) override { curvature_.learn(here, there); }
  void judge(double ratio, const Trial& trial) override;
  bool exhausted() const override { return limit() != Status::running || stuck_; }
  Status limit() const override { return lambda_ > options_.max_lambda ? Status::damping_limit : Status::running; }
  double optimality() const override { return optimality_; }
  double control() const override { return lambda_; }
  Index rank() const override { return subproblem_->rank(); }

 private:
  void boxed_step(const Point& here);
  void bend(const Point& here);
  void finish_trial(const Point& here, bool boxed);

  Options options_;
  Box box_;
  Scaling scaling_;
  std::unique_ptr<Subproblem> subproblem_;
  Model model_;
  BoxQp box_qp_;
  Eigen::VectorXi active_;  // of the last box QP; empty before the first
  Curvature curvature_;
  Matrix damped_;
  Vector d_, C_, p_hat_, bent_, x_hat_, lower_, upper_;
  Trial trial_;
  double lambda_ = 0, growth_ = 2, optimality_ = infinity, length_of_x_ = 0;
  bool stuck_ = false;
};

void LevenbergMarquardt::start(const Point& here) {
  scaling_.restart();
  lambda_ = options_.lambda0;
  growth_ = 2;
  stuck_ = false;
  curvature_.forget();
  active_.resize(0);
  adopt(here);
}

void LevenbergMarquardt::adopt(const Point& here) {
  scaling_.update(here.rows.column_norms);
  const Index n = box_.size();
  d_.resize(n);
  C_.resize(n);
  optimality_ = 0;
  for (Index j = 0; j < n; ++j) {
    d_[j] = box_.fixed(j) ? 0 : 1 / scaling_.D()[j];
    C_[j] = box_.fixed(j) ? 1 : 0;
    // the projected gradient, |P(x - g) - x|, without the rounding of x - g
    const double g = here.g()[j];
    const double room = g > 0 ? here.x[j] - box_.lower[j] : box_.upper[j] - here.x[j];
    optimality_ = std::max(optimality_, std::min(std::abs(g), room));
  }
  x_hat_ = scaling_.D().cwiseProduct(here.x);
  length_of_x_ = safe_norm(x_hat_);
  model_.set(here.rows, d_, C_);
  subproblem_->factor(model_);
  curvature_.adopt(here, d_);
}

const Trial& LevenbergMarquardt::propose(const Point& here) {
  trial_.usable = subproblem_->solve(lambda_, p_hat_);
  if (!trial_.usable) {  // no finite step at this lambda: a rejection, not an end
    trial_.size = trial_.predicted = infinity;
    return trial_;
  }
  trial_.p = d_.cwiseProduct(p_hat_);
  trial_.x = here.x + trial_.p;
  const bool boxed = !box_.contains(trial_.x);
  if (boxed) boxed_step(here);
  trial_.predicted = model_.decrease(p_hat_);
  if (!boxed) bend(here);
  finish_trial(here, boxed);
  return trial_;
}

void LevenbergMarquardt::bend(const Point& here) {
  double predicted;
  if (!curvature_.bend(model_, *subproblem_, p_hat_, bent_, predicted)) return;
  trial_.p = d_.cwiseProduct(bent_);
  trial_.x = here.x + trial_.p;
  if (!box_.contains(trial_.x)) return;
  p_hat_.swap(bent_);
  trial_.predicted = predicted;
}

// The box QP, warm-started from the active set of the last one, at first from the free step clipped to the box.
void LevenbergMarquardt::boxed_step(const Point& here) {
  const Index n = box_.size();
  model_.matrix(damped_);
  damped_.diagonal().array() += lambda_;
  lower_.resize(n);
  upper_.resize(n);
  for (Index j = 0; j < n; ++j) {
    lower_[j] = box_.fixed(j) ? 0 : (box_.lower[j] - here.x[j]) / d_[j];
    upper_[j] = box_.fixed(j) ? 0 : (box_.upper[j] - here.x[j]) / d_[j];
  }
  if (active_.size() == n) {
    box_qp_.solve(damped_, model_.gradient(), lower_, upper_, active_, p_hat_);
  } else {
    p_hat_ = p_hat_.cwiseMax(lower_).cwiseMin(upper_);
    box_qp_.solve(damped_, model_.gradient(), lower_, upper_, p_hat_);
  }
  active_ = box_qp_.active();
}

void LevenbergMarquardt::finish_trial(const Point& here, bool boxed) {
  trial_.p = d_.cwiseProduct(p_hat_);
  trial_.x = here.x + trial_.p;
  for (Index j = 0; boxed && j < box_.size(); ++j) {  // on a wall means on it to the last bit
    if (active_[j] < 0) trial_.x[j] = box_.lower[j];
    if (active_[j] > 0) trial_.x[j] = box_.upper[j];
  }
  box_.project(trial_.x);
  trial_.size = safe_norm(p_hat_);
  trial_.reference = length_of_x_;
  trial_.cut = false;
  trial_.usable = trial_.x.allFinite() && trial_.x != here.x;
}

void LevenbergMarquardt::judge(double ratio, const Trial& trial) {
  if (ratio > 0) {
    const double q = 2 * ratio - 1;
    lambda_ *= std::max(least_factor, 1 - q * q * q);
    lambda_ = std::max(lambda_, std::numeric_limits<double>::min());
    growth_ = 2;
  } else {
    lambda_ *= growth_;
    growth_ *= 2;
  }
  stuck_ = !trial.usable && std::isfinite(trial.size);  // x + p rounds to x
}

}  // namespace

std::unique_ptr<Step> make_levenberg_marquardt(const Options& options, const Box& box, SubproblemKind kind, Vector D) {
  return std::make_unique<LevenbergMarquardt>(options, box, kind, std::move(D));
}

}  // namespace marquardt
