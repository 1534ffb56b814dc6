// With v = |u|:  s = C sign(u) t(v),  t = sqrt(rho(v^2)),  ds/dr = t'(v) = psi / t,  psi = rho'(v^2) v. Written so
// that neither small v cancels nor large v overflows. Every loss has rho'(0) = 1 (Tukey's and Welsch's scaled to it).
// References: Huber (1964), Robust estimation of a location parameter; Beaton & Tukey (1974), The fitting of power
// series; Dennis & Welsch (1978), Techniques for nonlinear least squares and robust regression; Triggs et al. (2000),
// Bundle adjustment, section 3 (robust costs in least squares).
#include "marquardt/problem/loss.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace marquardt {
namespace {

constexpr double pi = 3.14159265358979323846;
// ln(1 + v^2) = 2 ln v, and arctan(v^2) = pi / 2, to rounding from here on.
constexpr double far_out = 1e8;
// exp(-v^2) underflows to zero before here: exp(-1600).
constexpr double no_weight = 40;
// The series of rho around z has three terms here: up to this z the next one is below rounding of rho.
constexpr double short_series = 1e-8;
// Zero as far as rho can tell, without the infinite powers of 1/z that some formulas of rho' and rho'' have at 0.
constexpr double practically_zero = 1e-100;
// A formula that subtracts numbers near 1 leaves a handful of roundings.
constexpr double cancellation = 4 * epsilon;

LossAt soft_l1(double v) {
  const double h = std::hypot(1, v), root = v * std::sqrt(2 / (1 + h));
  return {root, root * root, 1 / h, v / h, 1 / h / h / h};
}

LossAt huber(double v) {
  if (v <= 1) return {v, v * v, 1, v, 1};
  return {std::sqrt(2 * v - 1), 2 * v - 1, 1 / v, 1, 0};
}

LossAt cauchy(double v) {
  const double z = v * v;
  if (v <= 1) {
    const double root = v * std::sqrt(z > 0 ? std::log1p(z) / z : 1), w = 1 / (1 + z);
    return {root, root * root, w, v * w, (1 - z) * w * w};
  }
  const double rho = v < far_out ? std::log1p(z) : 2 * std::log(v), psi = 1 / (v + 1 / v);
  const double y = 1 / v / v;
  return {std::sqrt(rho), rho, psi / v, psi, y * (y - 1) / ((1 + y) * (1 + y))};
}

LossAt arctan(double v) {
  const double z = v * v;
  if (v <= 1) {
    const double root = v * std::sqrt(z > 0 ? std::atan(z) / z : 1), w = 1 / (1 + z * z);
    return {root, root * root, w, v * w, (1 - 3 * z * z) * w * w};
  }
  const double rho = v < far_out ? std::atan(z) : pi / 2, psi = 1 / (v * v * v + 1 / v);
  const double y = 1 / v / v / v / v;
  return {std::sqrt(rho), rho, psi / v, psi, y * (y - 3) / ((1 + y) * (1 + y))};
}

LossAt welsch(double v) {
  if (v > no_weight) return {1, 1, 0, 0, 0};
  const double z = v * v, w = std::exp(-z), rho = -std::expm1(-z);
  const double root = v <= 1 ? v * std::sqrt(z > 0 ? rho / z : 1) : std::sqrt(rho);
  return {root, rho, w, v * w, (1 - 2 * z) * w};
}

LossAt tukey(double v) {
  if (v >= 1) return {std::sqrt(1.0 / 3), 1.0 / 3, 0, 0, 0};
  const double z = v * v, w = (1 - v) * (1 + v), root = v * std::sqrt(1 - z + z * z / 3);
  return {root, root * root, w * w, v * w * w, w * (1 - 5 * z)};
}

std::string short_number(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

LossAt loss_at(LossKind kind, double v) {
  switch (kind) {
    case LossKind::soft_l1:
      return soft_l1(v);
    case LossKind::huber:
      return huber(v);
    case LossKind::cauchy:
      return cauchy(v);
    case LossKind::arctan:
      return arctan(v);
    case LossKind::welsch:
      return welsch(v);
    case LossKind::tukey:
      return tukey(v);
    case LossKind::linear:
      break;
  }
  return {v, v * v, 1, v, 1};
}

LossKind loss_kind(const std::string& name) {
  constexpr std::pair<const char*, LossKind> kinds[] = {
      {"linear", LossKind::linear}, {"soft_l1", LossKind::soft_l1}, {"huber", LossKind::huber},
      {"cauchy", LossKind::cauchy}, {"arctan", LossKind::arctan},   {"welsch", LossKind::welsch},
      {"tukey", LossKind::tukey},
  };
  for (const auto& [known, kind] : kinds) {
    if (name == known) return kind;
  }
  throw std::invalid_argument("unknown loss '" + name + "'");
}

Loss::Loss(LossKind kind, Vector scale) : kind_(kind), scale_(std::move(scale)) {}

Loss::Loss(std::shared_ptr<LossFunction> own, Vector scale) : own_(std::move(own)), scale_(std::move(scale)) {}

void Loss::transform(const Vector& r, Vector& s) {
  require_scales(r.size());
  s = r;
  if (linear()) return;
  if (own_) evaluate_own(r);
  for (Index i = 0; i < r.size(); ++i) {
    const double root = own_ ? own_root(i) : loss_at(kind_, std::abs(r[i]) / scale(i)).root;
    s[i] = std::copysign(scale(i) * root, r[i]);
  }
}

void Loss::slopes(const Vector& r, Vector& ds) {
  require_scales(r.size());
  ds.setOnes(r.size());
  if (linear()) return;
  if (own_) evaluate_own(r);
  for (Index i = 0; i < r.size(); ++i) {
    if (own_) {
      const double root = own_root(i);
      // t' tends to sqrt(rho') where rho does to zero
      ds[i] = root > 0 ? first_[i] * (v_[i] / root) : std::sqrt(std::max(first_[i], 0.0));
    } else {
      const LossAt at = loss_at(kind_, std::abs(r[i]) / scale(i));
      if (at.root > 0) ds[i] = at.psi / at.root;
    }
  }
}

void Loss::evaluate_own(const Vector& r) {
  const Index m = r.size();
  if (!zero_checked_) {
    z_.setConstant(m, practically_zero);
    own_->evaluate(z_, rho_, first_, second_);
    for (const double rho : rho_) {
      if (!(std::abs(rho) <= cancellation)) {
        throw std::invalid_argument("loss must have rho(0) = 0, got rho(0) = " + short_number(rho));
      }
    }
    zero_checked_ = true;
  }
  v_.resize(m);
  for (Index i = 0; i < m; ++i) v_[i] = std::abs(r[i]) / scale(i);
  z_ = v_.cwiseAbs2();
  own_->evaluate(z_, rho_, first_, second_);
}

// sqrt(rho). The usual formulas subtract 1 from something near it, and then nothing is left of a small rho. There the
// series around z, which must end at rho(0) = 0, gives rho = z (rho' - z rho'' / 2 + ...) with all its digits. It is
// taken only where rho does not contradict it by more than that rounding.
double Loss::own_root(Index i) const {
  const double z = z_[i], quotient = first_[i] - 0.5 * z * second_[i];
  if (z <= short_series && quotient >= 0 && std::abs(rho_[i] - z * quotient) <= cancellation) {
    return v_[i] * std::sqrt(quotient);
  }
  if (rho_[i] < 0) {
    throw std::invalid_argument("loss must return rho(z) >= 0, got rho(" + short_number(z) +
                                ") = " + short_number(rho_[i]));
  }
  return std::sqrt(rho_[i]);
}

void Loss::require_scales(Index m) const {
  if (scale_.size() == 1 || scale_.size() == m) return;
  throw std::invalid_argument("f_scale must be a number or have an entry for each of the " + std::to_string(m) +
                              " residuals, got " + std::to_string(scale_.size()));
}

}  // namespace marquardt
