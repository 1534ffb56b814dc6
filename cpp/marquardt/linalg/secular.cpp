// The secular equation  f(alpha) = ||p(alpha)|| = Delta  in as few solves as possible.
//
// f falls, and 1/f is concave. With e = -alpha f'/f in (0, 1), the slope of f on logarithmic axes, and
// psi = -g'p(alpha), at any alpha that has been tried:
//   root >= alpha (1 + (f/Delta - 1)/e)        Newton on 1/f, from either side (More & Sorensen)
//   root >= ||g||/Delta - g'Bg/g'g             Jensen's inequality in the eigenbasis of B
//   root <= alpha f/Delta                      when f < Delta
//   root <= alpha + psi/(4 Delta^2)            when that is >= 2 alpha, else root <= sqrt(alpha psi)/Delta;
//                                              from (lambda + root)^2 >= c (lambda + alpha) for every lambda >= 0
//   root <= ||g||/Delta
// These keep a bracket. Inside it the next alpha comes from
//   alpha (f/Delta)^(1/e)                      Newton in the logarithms: exact for a power law, which is what a
//                                              wide spectrum of singular values looks like
//   f^2 = a^2/(1 + t)^2 + b^2                  one pole and a plateau through the last point left of the root (value
//   and
//                                              slope) and the last one right of it, when that one stands on a plateau
// and from the geometric mean of the bracket when neither falls inside.
// References: More & Sorensen (1983), Computing a trust region step; Conn, Gould & Toint, Trust-Region Methods, 7.3.
#include "marquardt/linalg/secular.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// Enough for a bisection in the logarithm across all doubles (2^11 in the exponent, then 1 %); Newton needs 2 to 6.
constexpr int most_solves = 40;

// e below which f counts as flat: a power law would then extrapolate by its fifth power or more.
constexpr double flat = 0.2;

// Up to this cut of the full step the lower bound, which is the Newton step from 0, is the best first guess;
// beyond, the middle of the bracket is.
constexpr double shallow = 10;

struct Sample {
  double alpha = 0, f = 0, slope = 0;
  double steepness() const { return -alpha * slope / f; }  // e
};

struct Bracket {
  double low = 0, high = infinity;

  bool holds(double alpha) const { return alpha >= low && alpha <= high; }
  // Bounds may cross by rounding, or by the noise of a singular model: then the newer fact wins.
  void raise(double bound) {
    if (bound > low) low = bound;
    if (high < low) high = low;
  }
  void lower(double bound) {
    if (bound < high) high = bound;
    if (low > high) low = high;
  }
  double middle() const { return low > 0 ? std::sqrt(low) * std::sqrt(high) : epsilon * high; }
};

double psi_of(const Model& model, const Vector& p) { return std::max(-model.gradient().dot(p), 0.0); }

// g'Bg / g'g, the model's curvature along its gradient
double gradient_curvature(const Model& model) {
  const Vector& g = model.gradient();
  const double length = safe_norm(g);
  return 2 * model.along(g, g).a / length / length;
}

// What is known before any alpha > 0 has been tried; `full` is the sample at 0, its f is 0 if there was no full step.
Bracket first_bracket(const Model& model, double Delta, const Sample& full, double psi) {
  Bracket bracket;
  bracket.high = std::min(safe_norm(model.gradient()) / Delta, std::numeric_limits<double>::max());
  bracket.raise(bracket.high - gradient_curvature(model));  // a NaN raises nothing
  if (full.f > 0) {
    if (psi > 0) bracket.lower(psi / Delta / Delta / 4);
    if (full.slope < 0) bracket.raise(full.f / -full.slope * (full.f / Delta - 1));
  }
  return bracket;
}

void tighten(Bracket& bracket, const Sample& here, double psi, double Delta, double upper) {
  const double ratio = here.f / Delta, e = here.steepness();
  if (ratio > 1) {
    if (here.alpha >= bracket.high) bracket.high = std::max(upper, 4 * here.alpha);  // a bound misled: start it anew
    bracket.raise(here.alpha * ratio);
    const double far = here.alpha + psi / Delta / Delta / 4;
    bracket.lower(far >= 2 * here.alpha ? far : std::sqrt(psi) * std::sqrt(here.alpha) / Delta);
  } else {
    if (here.alpha <= bracket.low) bracket.low = 0;
    bracket.lower(here.alpha * ratio);
  }
  const double newton = here.alpha * (1 + (ratio - 1) / e);
  if (e > 0 && newton < bracket.high) bracket.raise(newton);
}

// f^2 = a^2/(1 + t)^2 + b^2 with t = 0 at `left`, through both points and the slope at the left one.
double pole_and_plateau(const Sample& left, const Sample& right, double Delta) {
  const double gap = right.alpha - left.alpha, fall = -left.slope * gap / left.f;  // all in units of left.f
  const double f = right.f / left.f, target = Delta / left.f;
  const double q = (1 - f) * (1 + f) / fall;
  const double v = (1 + std::sqrt(1 + 4 * q)) / (2 * q);  // 1 + t at the right point: q v^2 - v - 1 = 0
  const double a2 = fall / (v - 1), b2 = 1 - a2;
  return left.alpha + (std::sqrt(a2 / (target * target - b2)) - 1) * gap / (v - 1);
}

// The root-find once the full step is known not to fit. `here` enters as the sample at 0 (f = 0: there is none).
// On return p_hat is the step at answer.alpha, here.f its length; f = 0 if no step could be computed.
void find_root(Subproblem& subproblem, const Model& model, double Delta, double guess, double tolerance, Vector& p_hat,
               Sample& here, Secular& answer) {
  const double upper = safe_norm(model.gradient()) / Delta;
  Bracket bracket = first_bracket(model, Delta, here, here.f > 0 ? psi_of(model, p_hat) : 0);
  Sample left = here, right;
  double refused = 0;  // the largest alpha that had no finite step
  double next = here.f > 0 && here.f < shallow * Delta ? bracket.low : bracket.middle();
  if (guess > 0 && bracket.holds(guess)) next = guess;
  here = Sample();
  while (answer.solves < most_solves) {
    ++answer.solves;
    if (!subproblem.solve(next, p_hat)) {
      refused = std::max({next, epsilon * gradient_curvature(model), std::numeric_limits<double>::min()});
      bracket.low = refused;
      bracket.high = std::max(bracket.high, 16 * refused);
      next = bracket.middle();
      continue;
    }
    here = {next, safe_norm(p_hat), 0};
    if (here.f < Delta && next <= 16 * refused) {  // as long a step as there is, and it fits
      answer.at_edge = false;
      break;
    }
    if (std::abs(here.f - Delta) <= tolerance * Delta || here.f == 0) break;
    here.slope = subproblem.slope(p_hat);
    (here.f > Delta ? left : right) = here;
    tighten(bracket, here, psi_of(model, p_hat), Delta, upper);
    const double e = here.steepness();
    next = here.f < Delta && left.f > 0 && e < flat ? pole_and_plateau(left, right, Delta)
                                                    : here.alpha * std::pow(here.f / Delta, 1 / e);
    if (!bracket.holds(next)) next = bracket.middle();
    if (next == here.alpha || !std::isfinite(next)) break;  // no number left between the bounds
  }
  answer.alpha = here.alpha;
}

}  // namespace

Secular secular(Subproblem& subproblem, const Model& model, double Delta, double guess, Vector& p_hat,
                double tolerance) {
  assert(Delta > 0 && tolerance > 0);
  Secular answer;
  const double gradient = safe_norm(model.gradient());
  if (gradient == 0) {
    p_hat.setZero(model.size());
    return answer;
  }
  Sample here;
  answer.solves = 1;
  if (subproblem.solve(0, p_hat)) {
    here.f = safe_norm(p_hat);
    if (here.f <= Delta) return answer;
    if (here.f > (1 + tolerance) * Delta) here.slope = subproblem.slope(p_hat);
  }
  answer.at_edge = true;
  if (!(here.f > 0 && here.f <= (1 + tolerance) * Delta)) {
    find_root(subproblem, model, Delta, guess, tolerance, p_hat, here, answer);
  }
  if (!answer.at_edge) return answer;
  if (here.f > 0) {
    p_hat *= Delta / here.f;
  } else {  // p underflowed: with damping this large it is a multiple of -g
    p_hat = -(Delta / gradient) * model.gradient();
  }
  return answer;
}

}  // namespace marquardt
