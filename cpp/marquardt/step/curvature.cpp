#include "marquardt/step/curvature.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// 2 ||w|| up to this many ||v|| is a correction. At a double zero of r it is exactly 1 from wherever one comes.
constexpr double longest = 1.1;
// a is trusted while it explains at least this much of what the linear model missed.
constexpr double unexplained = 0.7;

// The way back goes at least this far and at most half of the way.
constexpr double nearest = 0.02, farthest = 0.5;
// 2 ||t^2 c|| up to this many ||t p|| is a turn.
constexpr double sharpest = 0.75;

// The first t > 0 where a t^3 + b t^2 + c t + d, negative at 0, turns positive; by its monotone pieces. a >= 0.
double first_root(double a, double b, double c, double d) {
  const auto value = [&](double t) { return ((a * t + b) * t + c) * t + d; };
  double ends[3] = {infinity, infinity, infinity};
  const double q = b * b - 3 * a * c;
  if (a > 0 && q > 0) {
    ends[0] = (-b - std::sqrt(q)) / (3 * a);
    ends[1] = (-b + std::sqrt(q)) / (3 * a);
  }
  double low = 0;
  for (double high : ends) {
    if (!(high > low)) continue;
    if (!std::isfinite(high)) {
      for (high = std::max(2 * low, 1.0); high < 1e6 && !(value(high) >= 0);) high *= 2;
    }
    if (value(high) >= 0) {
      for (int k = 0; k < 60; ++k) {  // to the last bit
        const double middle = 0.5 * (low + high);
        (value(middle) >= 0 ? high : low) = middle;
      }
      return high;
    }
    low = high;
  }
  return infinity;
}

}  // namespace

void Curvature::forget() {
  started_ = known_ = false;
  trusted_ = true;
}

void Curvature::adopt(const Point& here, const Vector& d) {
  if (started_) {
    s_ = here.x - x_;
    a_ = 2 * (r_ - here.r);
    here.J.add_product_and_pull(2, s_, a_, a_, h_);
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
  step_ = there.x - here.x;
  error_ = there.r - here.r;
  here.J.add_product_and_pull(-1, step_, error_, there.r, pulled_);
  if (!known_) return;
  const double ee = error_.squaredNorm();
  step_ = inverse_d_.cwiseProduct(step_);
  const double beta = step_.dot(s_hat_) / ss_, half = 0.5 * beta * beta;
  const double left = ee - 2 * half * error_.dot(a_) + half * half * aa_;
  trusted_ = left < unexplained * unexplained * ee;
}

bool Curvature::turn_back(const Point& here, const Model& model, Subproblem& subproblem, const Vector& p, Vector& bent,
                          double& predicted) {
  here.J.pull(error_, turn_);
  turn_.array() *= model.d().array();
  if (!subproblem.back_solve(turn_, w_)) return false;
  step_ = model.d().cwiseProduct(p);
  image_.setZero(error_.size());
  here.J.add_product(1, step_, image_);
  step_ = model.d().cwiseProduct(w_);
  here.J.add_product(1, step_, error_);
  const double qq = error_.squaredNorm(), pq = image_.dot(error_), pp = image_.squaredNorm();
  const double rq = here.r.dot(error_), rp = here.r.dot(image_);
  const double t = std::clamp(first_root(2 * qq, 3 * pq, pp + 2 * rq, rp), nearest, farthest);
  if (!(2 * t * safe_norm(w_) <= sharpest * safe_norm(p))) return false;
  bent = t * p + t * t * w_;
  // 1/2 ||r||^2 - 1/2 ||r + t J p + t^2 q||^2
  predicted = -t * (rp + t * (rq + 0.5 * pp + t * (pq + 0.5 * t * qq)));
  return predicted > 0;
}

}  // namespace marquardt
