#include "marquardt/step/curvature.hpp"

namespace marquardt {
namespace {

// 2 ||w|| up to this many ||v|| is a correction. At a double zero of r it is exactly 1 from wherever one comes.
constexpr double longest = 1.1;
// a is trusted while it explains at least this much of what the linear model missed.
constexpr double unexplained = 0.7;

}  // namespace

void Curvature::forget() {
  started_ = known_ = false;
  trusted_ = true;
}

void Curvature::adopt(const Point& here, const Vector& d) {
  if (started_) {
    s_ = here.x - x_;
    a_ = r_ - here.r;
    a_.noalias() += here.J * s_;
    a_ *= 2;
    h_.noalias() = here.J.transpose() * a_;
    h_.array() *= d.array();
    inverse_d_ = (d.array() > 0).select(d.array().inverse(), 0.0);
    s_hat_ = inverse_d_.cwiseProduct(s_);
    aa_ = a_.squaredNorm();
    ar_ = a_.dot(here.r);
    ss_ = s_hat_.squaredNorm();
    known_ = ss_ > 0 && std::isfinite(aa_ + ar_ + ss_);
  }
  x_ = here.x;
  r_ = here.r;
  started_ = true;
}

bool Curvature::bend(const Model& model, Subproblem& subproblem, const Vector& v, Vector& bent, double& predicted) {
  if (!known_ || !trusted_) return false;
  const double beta = v.dot(s_hat_) / ss_, squared = beta * beta;
  if (!subproblem.back_solve(h_, w_)) return false;
  w_ *= squared;
  if (!(2 * w_.norm() <= longest * v.norm())) return false;
  bent = v + 0.5 * w_;
  // 1/2 ||r||^2 - 1/2 ||r + J p + 1/2 beta^2 a||^2
  const double straight = model.decrease(bent);
  const double promised = straight - 0.5 * squared * (ar_ + h_.dot(bent)) - 0.125 * squared * squared * aa_;
  if (!(promised > 0)) return false;
  predicted = promised;
  return true;
}

void Curvature::learn(const Point& here, const Value& there) {
  if (!known_) return;
  step_ = there.x - here.x;
  error_ = there.r - here.r;
  error_.noalias() -= here.J * step_;
  const double ee = error_.squaredNorm();
  step_ = inverse_d_.cwiseProduct(step_);
  const double beta = step_.dot(s_hat_) / ss_, half = 0.5 * beta * beta;
  const double left = ee - 2 * half * error_.dot(a_) + half * half * aa_;
  trusted_ = left < unexplained * unexplained * ee;
}

}  // namespace marquardt
