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
//   f^2 = a^2/(1 + t)^2 + b^2                  one pole and a plateau through the last point left of the root (value and
//                                              slope) and the last one right of it, when that one stands on a plateau
// and from the geometric mean of the bracket when neither falls inside.
// References: More & Sorensen (1983), Computing a trust region step; Conn, Gould & Toint, Trust-Region Methods, 7.3.
#include "marquardt/linalg/secular.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace marquardt {
namespace {

// Enough for a bisection in the logarithm across all doubles (2^11 in the exponent, then 1 %); Newton needs 2 to 6.
constexpr int most_solves = 40;

// e below which f counts as flat: a power law would then extrapolate by its fifth power or more.
constexpr double flat = 0.2;

// While the bounds differ by less than this factor the lower one, the Newton step from 0, is the better first guess.
constexpr double narrow = 10;

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

double cosine_free_psi(const Model& model, const Vector& p) { return std::max(-model.gradient().dot(p), 0.0); }

// What the full step says before any other alpha has been tried.
Bracket first_bracket(const Model& model, double Delta, const Vector& full, const Sample& at_zero, bool have_full) {
  const double length = model.gradient().stableNorm();
  const Vector& g = model.gradient();
  const double curvature = 2 * model.along(g, g).a / length / length;  // g'Bg / g'g
  Bracket bracket;
  bracket.high = std::min(length / Delta, std::numeric_limits<double>::max());
  if (std::isfinite(curvature)) bracket.raise(length / Delta - curvature);
  if (have_full) {
    const double psi = cosine_free_psi(model, full);
    if (psi > 0) bracket.lower(psi / Delta / Delta / 4);
    if (at_zero.slope < 0) bracket.raise(at_zero.f / -at_zero.slope * (at_zero.f - Delta) / Delta);
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

}  // namespace

Secular secular(Subproblem& subproblem, const Model& model, double Delta, double guess, Vector& p_hat,
                double tolerance) {
  assert(Delta > 0 && tolerance > 0);
  Secular answer;
  const double gradient = model.gradient().stableNorm();
  if (gradient == 0) {
    p_hat.setZero(model.size());
    return answer;
  }

  Sample here;
  const bool have_full = subproblem.solve(0, p_hat);
  answer.solves = 1;
  if (have_full) {
    here.f = p_hat.stableNorm();
    if (here.f <= Delta) return answer;
  }
  answer.at_edge = true;
  const auto close = [&] { return std::abs(here.f - Delta) <= tolerance * Delta; };
  if (!(have_full && close())) {
    if (have_full) here.slope = subproblem.slope(p_hat);
    Bracket bracket = first_bracket(model, Delta, p_hat, here, have_full);
    Sample left = here, right;
    const bool start_low = bracket.low > 0 && bracket.high < narrow * bracket.low;
    double next = guess > 0 && bracket.holds(guess) ? guess : 
                  have_full && (start_low || here.f < narrow * Delta) ? bracket.low : bracket.middle();
    while (answer.solves < most_solves) {
      here.alpha = next;
      ++answer.solves;
      if (!subproblem.solve(next, p_hat)) {  // no finite step yet: more damping
        bracket.low = next;
        next = std::max(bracket.middle(), 4 * next);
        continue;
      }
      here.f = p_hat.stableNorm();
      if (close()) break;
      here.slope = subproblem.slope(p_hat);
      (here.f > Delta ? left : right) = here;
      tighten(bracket, here, cosine_free_psi(model, p_hat), Delta, gradient / Delta);
      const double e = here.steepness();
      next = here.f < Delta && left.f > 0 && e < flat ? pole_and_plateau(left, right, Delta)
                                                      : here.alpha * std::pow(here.f / Delta, 1 / e);
      if (!bracket.holds(next)) next = bracket.middle();
    }
    answer.alpha = here.alpha;
  }
  if (here.f > 0) {
    p_hat *= Delta / here.f;
  } else {  // p underflowed: with damping this large it is a multiple of -g
    p_hat = -(Delta / gradient) * model.gradient();
  }
  return answer;
}

}  // namespace marquardt
