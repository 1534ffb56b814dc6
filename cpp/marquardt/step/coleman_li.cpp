#include "marquardt/step/coleman_li.hpp"

#include <algorithm>
#include <cmath>

namespace marquardt::coleman_li {
namespace {

// The minimiser of a t^2 + b t on [from, to].
double minimise_on(const Model::Quadratic& q, double from, double to) {
  const auto value = [&](double t) { return t * (q.a * t + q.b); };
  double best = value(to) < value(from) ? to : from;
  if (q.a > 0) {
    const double vertex = -0.5 * q.b / q.a;
    if (vertex > from && vertex < to && value(vertex) < value(best)) best = vertex;
  }
  return best;
}

// The positive root of ||s + t u|| = Delta for ||s|| <= Delta, u != 0, without cancellation.
double to_radius(const Vector& s, const Vector& u, double Delta) {
  const double a = u.squaredNorm(), b = s.dot(u), c = s.squaredNorm() - Delta * Delta;
  const double root = std::sqrt(std::max(b * b - a * c, 0.0));
  return b > 0 ? -c / (b + root) : (root - b) / a;
}

void keep_better(const Model& model, const Vector& candidate, Choice& choice) {
  const double predicted = model.decrease(candidate);
  if (predicted > choice.predicted) {
    choice.p_hat = candidate;
    choice.predicted = predicted;
  }
}

}  // namespace

void scaling(const Vector& x, const Vector& g, const Box& box, Vector& v, Vector& dv) {
  v.setOnes(x.size());
  dv.setZero(x.size());
  for (Index j = 0; j < x.size(); ++j) {
    if (box.fixed(j)) {
      v[j] = 0;
    } else if (g[j] < 0 && box.upper[j] != infinity) {
      v[j] = box.upper[j] - x[j];
      dv[j] = -1;
    } else if (g[j] > 0 && box.lower[j] != -infinity) {
      v[j] = x[j] - box.lower[j];
      dv[j] = 1;
    }
  }
}

void choose(const Model& model, const Vector& x, const Box& box, double Delta, double theta, const Vector& p_hat,
            Choice& choice) {
  const Vector& d = model.d();
  const Vector p = d.cwiseProduct(p_hat);
  choice.met_wall = !box.contains(x + p);
  if (!choice.met_wall) {
    choice.p_hat = p_hat;
    choice.predicted = model.decrease(p_hat);
    return;
  }
  const double to_wall = box.reach(x, p);
  choice.p_hat = theta * to_wall * p_hat;
  choice.predicted = model.decrease(choice.p_hat);

  // Reflected: from the wall on, with the components that hit it turned round.
  const Vector at_wall = to_wall * p_hat;
  Vector turned = p_hat;
  for (Index j = 0; j < x.size(); ++j) {
    const double reach_j = p[j] > 0 ? (box.upper[j] - x[j]) / p[j] : p[j] < 0 ? (box.lower[j] - x[j]) / p[j] : infinity;
    if (reach_j <= to_wall) turned[j] = -turned[j];
  }
  const Vector corner = x + d.cwiseProduct(at_wall);
  const double inside = to_radius(at_wall, turned, Delta);
  const double next_wall = box.reach(corner, d.cwiseProduct(turned));
  const double far = std::min(inside, theta * next_wall);
  const double near = (1 - theta) * to_wall;  // as far from the first wall as the cut step stays
  if (far > near) {
    keep_better(model, at_wall + minimise_on(model.along(at_wall, turned), near, far) * turned, choice);
  }

  // Scaled gradient: the Cauchy direction, which guarantees progress.
  const Vector downhill = -model.gradient();
  const double length = downhill.stableNorm();
  if (length > 0) {
    const double end = std::min(Delta / length, theta * box.reach(x, d.cwiseProduct(downhill)));
    keep_better(model, minimise_on(model.along(Vector::Zero(x.size()), downhill), 0, end) * downhill, choice);
  }
}

}  // namespace marquardt::coleman_li
