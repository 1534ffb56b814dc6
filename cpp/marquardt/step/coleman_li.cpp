#include "marquardt/step/coleman_li.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

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

// Takes choice.candidate if the model prefers it.
void keep_better(const Model& model, Choice& choice) {
  const double predicted = model.decrease(choice.candidate);
  if (predicted > choice.predicted) {
    choice.p_hat = choice.candidate;
    choice.predicted = predicted;
  }
}

// From the wall on, with the components that hit it turned round.
void try_reflection(const Model& model, const Vector& x, const Box& box, double Delta, double theta, double to_wall,
                    const Vector& p_hat, Choice& c) {
  c.at_wall = to_wall * p_hat;
  c.turned = p_hat;
  for (Index j = 0; j < x.size(); ++j) {
    const double room = c.p[j] > 0 ? box.upper[j] - x[j] : box.lower[j] - x[j];
    if (c.p[j] != 0 && room / c.p[j] <= to_wall) c.turned[j] = -c.turned[j];
  }
  c.point = x + model.d().cwiseProduct(c.at_wall);
  c.candidate = model.d().cwiseProduct(c.turned);
  const double far = std::min(to_radius(c.at_wall, c.turned, Delta), theta * box.reach(c.point, c.candidate));
  const double near = (1 - theta) * to_wall;  // as far from the first wall as the cut step stays
  if (!(far > near)) return;
  c.candidate = c.at_wall + minimise_on(model.along(c.at_wall, c.turned), near, far) * c.turned;
  keep_better(model, c);
}

// The Cauchy direction, which guarantees progress.
void try_scaled_gradient(const Model& model, const Vector& x, const Box& box, double Delta, double theta, Choice& c) {
  c.turned = -model.gradient();
  const double length = safe_norm(c.turned);
  if (!(length > 0)) return;
  c.point = model.d().cwiseProduct(c.turned);
  const double end = std::min(Delta / length, theta * box.reach(x, c.point));
  c.zero.setZero(x.size());
  c.candidate = minimise_on(model.along(c.zero, c.turned), 0, end) * c.turned;
  keep_better(model, c);
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
  choice.p = model.d().cwiseProduct(p_hat);
  choice.point = x + choice.p;
  choice.met_wall = !box.contains(choice.point);
  if (!choice.met_wall) {
    choice.p_hat = p_hat;
    choice.predicted = model.decrease(p_hat);
    return;
  }
  const double to_wall = box.reach(x, choice.p);
  choice.p_hat = theta * to_wall * p_hat;
  choice.predicted = model.decrease(choice.p_hat);
  try_reflection(model, x, box, Delta, theta, to_wall, p_hat, choice);
  try_scaled_gradient(model, x, box, Delta, theta, choice);
}

}  // namespace marquardt::coleman_li
