#include "marquardt/base/box.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace marquardt {

Box Box::infinite(Index n) { return {Vector::Constant(n, -infinity), Vector::Constant(n, infinity)}; }

bool Box::bounded() const { return (lower.array() != -infinity).any() || (upper.array() != infinity).any(); }

bool Box::contains(const VectorView& x) const {
  return (x.array() >= lower.array()).all() && (x.array() <= upper.array()).all();
}

void Box::project(Vector& x) const { x = x.cwiseMax(lower).cwiseMin(upper); }

void Box::move_inside(Vector& x, double margin) const {
  assert(x.size() == size());
  for (Index j = 0; j < size(); ++j) {
    const double lo = lower[j], hi = upper[j];
    const double room_lo = margin * std::max(1.0, std::abs(lo));
    const double room_hi = margin * std::max(1.0, std::abs(hi));
    const bool near_lo = lo != -infinity && x[j] - lo <= room_lo;
    const bool near_hi = hi != infinity && hi - x[j] <= room_hi;
    // of two near walls the nearer one counts
    if (near_lo && !(near_hi && hi - x[j] < x[j] - lo)) {
      x[j] = margin > 0 ? lo + room_lo : std::nextafter(lo, infinity);
    } else if (near_hi) {
      x[j] = margin > 0 ? hi - room_hi : std::nextafter(hi, -infinity);
    }
    if (x[j] <= lo || x[j] >= hi) {
      x[j] = fixed(j) ? lo : 0.5 * lo + 0.5 * hi;
    }
  }
}

double Box::reach(const VectorView& x, const VectorView& p) const {
  double t = infinity;
  for (Index j = 0; j < size(); ++j) {
    if (p[j] > 0) {
      t = std::min(t, (upper[j] - x[j]) / p[j]);
    } else if (p[j] < 0) {
      t = std::min(t, (lower[j] - x[j]) / p[j]);
    }
  }
  return std::max(t, 0.0);
}

}  // namespace marquardt
