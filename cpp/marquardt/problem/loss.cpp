// With v = |u|:  s = C sign(u) t(v),  t = sqrt(rho(v^2)),  ds/dr = t'(v). Written so that neither small v cancels nor
// large v overflows. Tukey's loss is scaled to rho'(0) = 1 like the others.
// References: Huber (1964), Robust estimation of a location parameter; Beaton & Tukey (1974), The fitting of power
// series; Triggs et al. (2000), Bundle adjustment, section 3 (robust costs in least squares).
#include "marquardt/problem/loss.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

namespace marquardt {
namespace {

constexpr double pi = 3.14159265358979323846;
// ln(1 + v^2) = 2 ln v to rounding from here on.
constexpr double far_out = 1e8;

// rho(v^2) / v^2 for v <= 1
double quotient(LossKind kind, double v) {
  const double z = v * v;
  switch (kind) {
    case LossKind::soft_l1:
      return 2 / (std::hypot(1, v) + 1);
    case LossKind::cauchy:
      return z > 0 ? std::log1p(z) / z : 1;
    case LossKind::arctan:
      return z > 0 ? std::atan(z) / z : 1;
    case LossKind::tukey:
      return 1 - z + z * z / 3;
    default:
      return 1;
  }
}

// rho(v^2) for v > 1
double beyond(LossKind kind, double v) {
  switch (kind) {
    case LossKind::soft_l1:
      return 2 * (std::hypot(1, v) - 1);
    case LossKind::huber:
      return 2 * v - 1;
    case LossKind::cauchy:
      return v < far_out ? std::log1p(v * v) : 2 * std::log(v);
    case LossKind::arctan:
      return v < far_out ? std::atan(v * v) : pi / 2;
    case LossKind::tukey:
      return 1.0 / 3;
    default:
      return v * v;
  }
}

// rho'(v^2) v
double pull(LossKind kind, double v) {
  switch (kind) {
    case LossKind::soft_l1:
      return v / std::hypot(1, v);
    case LossKind::huber:
      return v > 1 ? 1 : v;
    case LossKind::cauchy:
      return v > 1 ? 1 / (v + 1 / v) : v / (1 + v * v);
    case LossKind::arctan:
      return v > 1 ? 1 / (v * v * v + 1 / v) : v / (1 + v * v * v * v);
    case LossKind::tukey:
      return v < 1 ? v * (1 - v * v) * (1 - v * v) : 0;
    default:
      return v;
  }
}

}  // namespace

LossKind loss_kind(const std::string& name) {
  constexpr std::pair<const char*, LossKind> kinds[] = {
      {"linear", LossKind::linear}, {"soft_l1", LossKind::soft_l1}, {"huber", LossKind::huber},
      {"cauchy", LossKind::cauchy}, {"arctan", LossKind::arctan},   {"tukey", LossKind::tukey},
  };
  for (const auto& [known, kind] : kinds) {
    if (name == known) return kind;
  }
  throw std::invalid_argument("unknown loss '" + name + "'");
}

Loss::Loss(LossKind kind, Vector scale) : kind_(kind), scale_(std::move(scale)) {}

void Loss::transform(const Vector& r, Vector& s) const {
  require_scales(r.size());
  s = r;
  if (linear()) return;
  for (Index i = 0; i < r.size(); ++i) {
    const double v = std::abs(r[i]) / scale(i);
    s[i] = v <= 1 ? r[i] * std::sqrt(quotient(kind_, v)) : std::copysign(scale(i) * std::sqrt(beyond(kind_, v)), r[i]);
  }
}

void Loss::slopes(const Vector& r, Vector& ds) const {
  require_scales(r.size());
  ds.setOnes(r.size());
  if (linear()) return;
  for (Index i = 0; i < r.size(); ++i) {
    const double v = std::abs(r[i]) / scale(i);
    if (v > 0) {
      const double t = v <= 1 ? v * std::sqrt(quotient(kind_, v)) : std::sqrt(beyond(kind_, v));
      ds[i] = pull(kind_, v) / t;
    }
  }
}

void Loss::require_scales(Index m) const {
  if (scale_.size() == 1 || scale_.size() == m) return;
  throw std::invalid_argument("f_scale must be a number or have an entry for each of the " + std::to_string(m) +
                              " residuals, got " + std::to_string(scale_.size()));
}

}  // namespace marquardt
