// The dogleg in a rectangle: variables that stand on a wall and are pushed against it are held; for the others, with
// D the column scaling and p = p_hat / D,
//   max(-Delta, D (lower - x)) <= p_hat <= min(Delta, D (upper - x)),
// the step is the last point in that rectangle of the path 0 -> Cauchy point -> Gauss-Newton point (of minimum norm
// where J is rank deficient). A step may end on a wall: x is then on it to the last bit.
//
// A variable on its wall may be pulled inwards by its gradient and outwards by the Gauss-Newton step. It would stop the
// second leg before it has begun, and what is left of the path is steepest descent. The dogleg is then followed a
// second time with such variables held as well, and the step that promises more is taken: never less than the Cauchy
// step's fall, on which convergence rests.
// References: dogbox.hpp; the radius rules are the classical ones, in the norm of the rectangle.
#include "marquardt/step/dogbox.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/step/step.hpp"

namespace marquardt {
namespace dogbox {

void hold(const Vector& x, const Vector& g, const Box& box, Eigen::VectorXi& held) {
  held.setZero(x.size());
  for (Index j = 0; j < x.size(); ++j) {
    if (box.fixed(j) || (x[j] <= box.lower[j] && g[j] >= 0)) {
      held[j] = -1;
    } else if (x[j] >= box.upper[j] && g[j] <= 0) {
      held[j] = 1;
    }
  }
}

double reach(const Rectangle& rectangle, const Vector& p, const Vector& q) {
  double t = 1;
  for (Index j = 0; j < p.size(); ++j) {
    if (q[j] == 0) continue;
    const double room = (q[j] > 0 ? rectangle.upper[j] : rectangle.lower[j]) - p[j];
    t = std::min(t, room / q[j]);
  }
  return std::max(t, 0.0);
}

namespace {

// p += t q, where `t` is as far as the rectangle lets it: the sides that end it are met exactly.
void advance(const Rectangle& rectangle, double t, const Vector& q, Vector& p) {
  for (Index j = 0; j < p.size(); ++j) {
    if (q[j] == 0) continue;
    const double side = q[j] > 0 ? rectangle.upper[j] : rectangle.lower[j];
    p[j] = (side - p[j]) / q[j] <= t ? side : p[j] + t * q[j];
  }
  p = p.cwiseMax(rectangle.lower).cwiseMin(rectangle.upper);
}

}  // namespace

double cauchy_length(const Model& model, Vector& u) {
  const double norm = safe_norm(model.gradient());
  u = model.gradient();
  if (!(norm > 0)) return 0;
  u /= -norm;  // of length 1: its curvature does not overflow
  const double curvature = model.curvature(u, u);
  return curvature > 0 ? norm / curvature : infinity;
}

bool dogleg(const Model& model, const Vector& newton, const Rectangle& rectangle, Vector& p_hat, Vector& leg) {
  const bool known = newton.size() > 0;
  if (known && (newton.array() >= rectangle.lower.array()).all() && (newton.array() <= rectangle.upper.array()).all()) {
    p_hat = newton;
    return true;
  }
  const double length = cauchy_length(model, leg);
  p_hat.setZero(model.size());
  // An infinite length is cut to one that leaves any rectangle this side of overflow.
  leg *= std::min(length, std::sqrt(std::numeric_limits<double>::max()));
  advance(rectangle, reach(rectangle, p_hat, leg), leg, p_hat);
  if (!known) return false;
  leg = newton - p_hat;
  advance(rectangle, reach(rectangle, p_hat, leg), leg, p_hat);
  return false;
}

}  // namespace dogbox

namespace {

// x + p rounds at this share of x and of the wall: a wall closer than that is reached.
constexpr double wall_rounding = 2 * epsilon;

// The model with some variables held, and its minimiser.
class Face {
 public:
  explicit Face(SubproblemKind kind) : subproblem_(make_subproblem(kind)) {}

  void set(const Point& here, const Vector& D, const Eigen::VectorXi& held) {
    d_ = (held.array() == 0).select(D.cwiseInverse().array(), 0.0);
    C_ = (held.array() == 0).select(Vector::Zero(D.size()).array(), 1.0);  // at rest: see model.hpp
    model_.set(here.rows, d_, C_);
    subproblem_->factor(model_);
    if (!subproblem_->solve(0, newton_)) newton_.resize(0);
  }

  const Model& model() const { return model_; }
  const Vector& newton() const { return newton_; }
  const Vector& d() const { return d_; }
  Index rank() const { return subproblem_->rank(); }

 private:
  std::unique_ptr<Subproblem> subproblem_;
  Model model_;
  Vector d_, C_, newton_;
};

class Dogbox : public Step {
 public:
  Dogbox(const Options& options, const Box& box, SubproblemKind kind, Vector D)
      : options_(options), box_(box), scaling_(std::move(D)), free_(kind), narrow_(kind), whole_(kind) {}

  void admit(Vector& x) const override { box_.project(x); }
  void start(const Point& here) override;
  void adopt(const Point& here) override;
  const Trial& propose(const Point& here) override;
  void judge(double ratio, const Trial& trial) override;
  bool exhausted() const override { return stuck_; }
  Status limit() const override { return Delta_ < options_.min_trust_radius ? Status::radius_limit : Status::running; }
  double optimality() const override { return optimality_; }
  double control() const override { return Delta_; }
  Index rank() const override;

 private:
  double first_radius(const Point& here);
  bool narrow(const Point& here);
  void set_rectangle();
  void finish_trial(const Point& here, const Vector& d);

  Options options_;
  Box box_;
  Scaling scaling_;
  Face free_, narrow_;  // narrow_: with what stops the second leg at once held as well
  mutable Face whole_;  // nothing held: only its rank is asked for
  const Point* here_ = nullptr;
  Eigen::VectorXi held_, more_held_;
  dogbox::Rectangle walls_, rectangle_;  // in scaled variables; the second within Delta as well
  Vector p_hat_, other_, leg_, x_hat_;
  Trial trial_;
  double Delta_ = 0, optimality_ = infinity, length_of_x_ = 0;
  bool narrowed_ = false, at_edge_ = false, stuck_ = false;
};

void Dogbox::start(const Point& here) {
  scaling_.restart();
  adopt(here);
  Delta_ = first_radius(here) * options_.initial_trust_ratio;
  if (!(Delta_ > 0 && std::isfinite(Delta_))) Delta_ = 1;
  Delta_ = std::min(Delta_, options_.max_trust_radius);
  stuck_ = false;
}

void Dogbox::adopt(const Point& here) {
  here_ = &here;
  scaling_.update(here.rows.column_norms);
  const Vector& D = scaling_.D();
  dogbox::hold(here.x, here.g(), box_, held_);
  optimality_ = 0;
  for (Index j = 0; j < box_.size(); ++j) {
    if (held_[j] == 0) optimality_ = std::max(optimality_, std::abs(here.g()[j]));
  }
  x_hat_ = D.cwiseProduct(here.x);
  length_of_x_ = safe_norm(x_hat_);
  walls_.lower = D.cwiseProduct(box_.lower - here.x).cwiseMin(0.0);
  walls_.upper = D.cwiseProduct(box_.upper - here.x).cwiseMax(0.0);
  free_.set(here, D, held_);
  narrowed_ = narrow(here);
}

// Holds what the Gauss-Newton step would push out of the wall it stands on, until there is nothing of that kind.
bool Dogbox::narrow(const Point& here) {
  more_held_ = held_;
  bool narrowed = false;
  for (const Face* face = &free_;; face = &narrow_) {
    bool found = false;
    for (Index j = 0; j < face->newton().size(); ++j) {
      const double p = face->newton()[j];
      if (more_held_[j] != 0 || !((p < 0 && walls_.lower[j] == 0) || (p > 0 && walls_.upper[j] == 0))) continue;
      more_held_[j] = p < 0 ? -1 : 1;
      found = true;
    }
    if (!found) return narrowed;
    narrow_.set(here, scaling_.D(), more_held_);
    narrowed = true;
  }
}

double Dogbox::first_radius(const Point& here) {
  const std::string& rule = options_.initial_trust_radius;
  if (rule == "number") return options_.initial_trust_radius_value;
  double length = 0;
  for (Index j = 0; j < box_.size(); ++j) {
    if (!box_.fixed(j)) length = std::max(length, scaling_.D()[j] * std::abs(here.x[j]));
  }
  const double along = dogbox::cauchy_length(free_.model(), leg_);
  const double cauchy = std::isfinite(along) ? along * leg_.lpNorm<Eigen::Infinity>() : 0;
  // The length of x0 is no guide where x0 happens to lie near 0, and the Cauchy step is safe everywhere.
  if (rule == "scipy") return std::max(length, cauchy);
  return rule == "conngould" ? cauchy : std::sqrt(length) * std::sqrt(cauchy);
}

void Dogbox::set_rectangle() {
  rectangle_.lower = walls_.lower.cwiseMax(-Delta_);
  rectangle_.upper = walls_.upper.cwiseMin(Delta_);
}

const Trial& Dogbox::propose(const Point& here) {
  set_rectangle();
  bool full = dogbox::dogleg(free_.model(), free_.newton(), rectangle_, p_hat_, leg_);
  trial_.predicted = free_.model().decrease(p_hat_);
  const Face* face = &free_;
  if (narrowed_) {
    const bool other_full = dogbox::dogleg(narrow_.model(), narrow_.newton(), rectangle_, other_, leg_);
    const double other = narrow_.model().decrease(other_);
    if (other > trial_.predicted) {
      p_hat_.swap(other_);
      trial_.predicted = other;
      full = other_full;
      face = &narrow_;
    }
  }
  trial_.cut = !full;
  finish_trial(here, face->d());
  return trial_;
}

void Dogbox::finish_trial(const Point& here, const Vector& d) {
  trial_.p = d.cwiseProduct(p_hat_);
  trial_.x = here.x + trial_.p;
  at_edge_ = false;
  for (Index j = 0; j < box_.size(); ++j) {
    const double p = p_hat_[j];
    if (p == 0) continue;
    const double wall = p < 0 ? box_.lower[j] : box_.upper[j];
    const double rounding = wall_rounding * std::max(std::abs(here.x[j]), std::abs(wall));
    const bool on_wall = p == (p < 0 ? walls_.lower[j] : walls_.upper[j]) || std::abs(trial_.x[j] - wall) <= rounding;
    if (on_wall && std::isfinite(wall)) {
      trial_.x[j] = wall;
    } else if (std::abs(p) >= Delta_) {
      at_edge_ = true;
    }
  }
  box_.project(trial_.x);
  trial_.size = safe_norm(p_hat_);
  trial_.reference = length_of_x_;
  trial_.usable = trial_.x.allFinite() && trial_.x != here.x;
}

void Dogbox::judge(double ratio, const Trial& trial) {
  stuck_ = !trial.usable;
  if (!(ratio >= options_.tr_decrease_threshold)) {
    const double size = p_hat_.lpNorm<Eigen::Infinity>();
    Delta_ = options_.tr_decrease_ratio * (size > 0 && size < Delta_ ? size : Delta_);
  } else if (ratio > options_.tr_increase_threshold && at_edge_) {
    Delta_ *= options_.tr_increase_ratio;
  }
  Delta_ = std::min(Delta_, options_.max_trust_radius);
}

// Held variables have no column in the face that was factored; the rank asked for is that of all that are not fixed.
Index Dogbox::rank() const {
  Eigen::VectorXi fixed = Eigen::VectorXi::Zero(box_.size());
  for (Index j = 0; j < box_.size(); ++j) fixed[j] = box_.fixed(j) ? -1 : 0;
  if (held_ == fixed) return free_.rank();
  whole_.set(*here_, scaling_.D(), fixed);
  return whole_.rank();
}

}  // namespace

std::unique_ptr<Step> make_dogbox(const Options& options, const Box& box, SubproblemKind kind, Vector D) {
  return std::make_unique<Dogbox>(options, box, kind, std::move(D));
}

}  // namespace marquardt
