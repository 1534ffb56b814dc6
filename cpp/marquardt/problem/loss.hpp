// Robust losses: minimise 1/2 sum C_i^2 rho((r_i / C_i)^2) instead of 1/2 sum r_i^2, so that outliers weigh less.
//
// With u = r / C the same cost is the half sum of squares of  s = C sign(u) sqrt(rho(u^2)),  so that nothing else in
// the library has to know: s takes the place of r, and ds/dr scales the rows of J. Beyond the convex losses (linear,
// soft_l1, huber) a solution may be a local one.
#pragma once

#include <memory>
#include <string>

#include "marquardt/base/types.hpp"

namespace marquardt {

enum class LossKind {
  linear,   // rho(z) = z
  soft_l1,  // 2 (sqrt(1 + z) - 1)
  huber,    // z up to 1, 2 sqrt(z) - 1 beyond
  cauchy,   // ln(1 + z)
  arctan,   // arctan(z)
  welsch,   // 1 - exp(-z)
  tukey     // (1 - (1 - z)^3) / 3 up to 1, 1/3 beyond: an outlier has no weight at all
};

LossKind loss_kind(const std::string& name);  // throws std::invalid_argument for an unknown one

// The table of losses: everything there is to know about one at z = v^2, v >= 0. In terms of v, because z overflows
// and underflows where the loss does not.
struct LossAt {
  double root;    // sqrt(rho), with all its digits also where rho underflows
  double rho;     // rho(z)
  double weight;  // rho'(z): 1 where a residual is fully trusted
  double psi;     // rho'(z) v, the derivative of 1/2 rho(v^2)
  double slope;   // rho'(z) + 2 z rho''(z), the derivative of psi
};
LossAt loss_at(LossKind kind, double v);

// A loss of the caller's own, at many residuals at once: fills rho, rho' and rho'' at z, each as long as z. It may
// throw. rho(0) = 0 and rho >= 0.
class LossFunction {
 public:
  virtual ~LossFunction() = default;
  virtual void evaluate(const Vector& z, Vector& rho, Vector& first, Vector& second) = 0;
};

class Loss {
 public:
  // `scale` is C: one entry for all residuals, or one for each.
  explicit Loss(LossKind kind = LossKind::linear, Vector scale = Vector::Ones(1));
  explicit Loss(std::shared_ptr<LossFunction> own, Vector scale = Vector::Ones(1));

  bool linear() const { return !own_ && kind_ == LossKind::linear; }

  // r to s, and ds/dr; r finite. Throws std::invalid_argument if there are not as many scales as residuals, or if the
  // caller's own loss is no loss.
  void transform(const Vector& r, Vector& s);
  void slopes(const Vector& r, Vector& ds);

 private:
  void require_scales(Index m) const;
  double scale(Index i) const { return scale_[scale_.size() == 1 ? 0 : i]; }
  void evaluate_own(const Vector& r);
  double own_root(Index i) const;

  LossKind kind_ = LossKind::linear;
  std::shared_ptr<LossFunction> own_;
  Vector scale_;
  bool zero_checked_ = false;            // rho(0) = 0
  Vector v_, z_, rho_, first_, second_;  // of the last call of own_
};

}  // namespace marquardt
