// Trust region: minimise the model within ||p_hat|| <= Delta. Bounds by Coleman-Li: with v the distance to the wall
// that the gradient points at (1 where there is none) and D the column scaling,
//   p = d .* p_hat,  d = sqrt(v) / D,   C = diag(g dv / D):
// a variable close to its wall moves little, and its pull on the wall appears as curvature.
// References: More (1978); Conn, Gould & Toint (2000), Trust-region methods, chapters 6, 7 and 17; coleman_li.hpp.
#include <algorithm>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/linalg/secular.hpp"
#include "marquardt/step/coleman_li.hpp"
#include "marquardt/step/step.hpp"

namespace marquardt {
namespace {

// A start on a wall is moved this far inside, relative to the wall: far enough to move along it, too little to matter.
constexpr double start_margin = 1e-10;
// The length of x0 is no guide where x0 happens to lie near 0: the first radius is at least this share of the Cauchy
// step.
constexpr double least_cauchy_share = 1e-3;
// A step that meets a wall stops at least this fraction of the way to it; nearer the solution the fraction tends to 1.
constexpr double least_theta = 0.995;

class TrustRegion : public Step {
 public:
  TrustRegion(const Options& options, const Box& box, SubproblemKind kind, Vector D)
      : options_(options),
        box_(box),
        bounded_(box.bounded()),
        scaling_(std::move(D)),
        subproblem_(make_subproblem(kind)) {}

  void admit(Vector& x) const override { move_inside(x, 0); }
  void admit_start(Vector& x) const override { move_inside(x, start_margin); }
  void start(const Point& here) override;
  void adopt(const Point& here) override;
  const Trial& propose(const Point& here) override;
  void judge(double ratio, const Trial& trial) override;
  bool exhausted() const override { return stuck_; }
  Status limit() const override { return Delta_ < options_.min_trust_radius ? Status::radius_limit : Status::running; }
  double optimality() const override { return optimality_; }
  double control() const override { return Delta_; }
  Index rank() const override { return subproblem_->rank(); }

 private:
  void move_inside(Vector& x, double margin) const;
  double first_radius(const Point& here) const;

  Options options_;
  Box box_;
  bool bounded_;
  Scaling scaling_;
  std::unique_ptr<Subproblem> subproblem_;
  Model model_;
  Vector v_, dv_, d_, C_, p_hat_, x_hat_;
  coleman_li::Choice choice_;
  Trial trial_;
  double Delta_ = 0, alpha_ = 0, optimality_ = infinity, length_of_x_ = 0;
  bool stuck_ = false;
};

void TrustRegion::move_inside(Vector& x, double margin) const {
  if (!bounded_) return;
  box_.project(x);
  box_.move_inside(x, margin);
}

void TrustRegion::start(const Point& here) {
  scaling_.restart();
  adopt(here);
  Delta_ = first_radius(here) * options_.initial_trust_ratio;
  if (!(Delta_ > 0 && std::isfinite(Delta_))) Delta_ = 1;
  Delta_ = std::min(Delta_, options_.max_trust_radius);
  alpha_ = 0;
  stuck_ = false;
}

void TrustRegion::adopt(const Point& here) {
  scaling_.update(here.rows.column_norms);
  const Vector& D = scaling_.D();
  if (bounded_) {
    coleman_li::scaling(here.x, here.g(), box_, v_, dv_);
  } else {
    v_.setOnes(box_.size());
    dv_.setZero(box_.size());
  }
  optimality_ = v_.cwiseProduct(here.g()).lpNorm<Eigen::Infinity>();
  // The distance to a wall is measured in the scale of its variable, so that d has the units of x.
  d_ = (dv_.array() != 0).select(v_.array() * D.array(), v_.array()).sqrt() / D.array();
  C_ = here.g().cwiseProduct(dv_).cwiseQuotient(D);
  for (Index j = 0; j < box_.size(); ++j) {
    if (box_.fixed(j)) C_[j] = 1;  // at rest: see model.hpp
  }
  x_hat_ = scaling_.D().cwiseProduct(here.x);
  length_of_x_ = safe_norm(x_hat_);
  model_.set(here.rows, d_, C_);
  subproblem_->factor(model_);
}

double TrustRegion::first_radius(const Point& here) const {
  const std::string& rule = options_.initial_trust_radius;
  if (rule == "number") return options_.initial_trust_radius_value;
  // ||x|| in the model's variables
  const Vector x_hat = (d_.array() > 0).select(here.x.array() / d_.array(), 0.0);
  const double length = safe_norm(x_hat);
  // ||g||^3 / g'Bg with g brought to length 1, so that nothing overflows
  const double norm = safe_norm(model_.gradient());
  const Vector u = norm > 0 ? Vector(model_.gradient() / norm) : model_.gradient();
  const double curvature = 2 * model_.along(Vector::Zero(u.size()), u).a;
  const double cauchy = curvature > 0 ? norm / curvature : 0;
  if (rule == "scipy") return std::max(length, least_cauchy_share * cauchy);
  return rule == "conngould" ? cauchy : std::sqrt(length) * std::sqrt(cauchy);
}

const Trial& TrustRegion::propose(const Point& here) {
  const Secular secular_step = secular(*subproblem_, model_, Delta_, alpha_, p_hat_);
  alpha_ = secular_step.alpha;
  if (bounded_) {
    const double theta = std::max(least_theta, 1 - optimality_);
    coleman_li::choose(model_, here.x, box_, Delta_, theta, p_hat_, choice_);
    p_hat_.swap(choice_.p_hat);
    trial_.predicted = choice_.predicted;
  } else {
    trial_.predicted = model_.decrease(p_hat_);
  }
  trial_.p = d_.cwiseProduct(p_hat_);
  trial_.x = here.x + trial_.p;
  admit(trial_.x);
  trial_.size = safe_norm(p_hat_);
  trial_.reference = length_of_x_;
  trial_.cut = secular_step.at_edge;
  trial_.usable = trial_.x.allFinite() && trial_.x != here.x;
  return trial_;
}

void TrustRegion::judge(double ratio, const Trial& trial) {
  const double before = Delta_;
  stuck_ = !trial.usable;
  if (!(ratio >= options_.tr_decrease_threshold)) {
    const bool shorter = trial.size > 0 && trial.size < Delta_;
    Delta_ = options_.tr_decrease_ratio * (shorter ? trial.size : Delta_);
  } else if (ratio > options_.tr_increase_threshold) {
    Delta_ = std::max(options_.tr_increase_ratio * trial.size, Delta_);
  }
  Delta_ = std::min(Delta_, options_.max_trust_radius);
  alpha_ *= Delta_ > 0 ? before / Delta_ : 1;
}

}  // namespace

std::unique_ptr<Step> make_trust_region(const Options& options, const Box& box, SubproblemKind kind, Vector D) {
  return std::make_unique<TrustRegion>(options, box, kind, std::move(D));
}

}  // namespace marquardt
