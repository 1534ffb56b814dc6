// Robust losses: minimise 1/2 sum C_i^2 rho((r_i / C_i)^2) instead of 1/2 sum r_i^2, so that outliers weigh less.
//
// With u = r / C the same cost is the half sum of squares of  s = C sign(u) sqrt(rho(u^2)),  so that nothing else in
// the library has to know: s takes the place of r, and ds/dr scales the rows of J. Beyond the convex losses (linear,
// soft_l1, huber) a solution may be a local one.
#pragma once

#include <string>

#include "marquardt/base/types.hpp"

namespace marquardt {

enum class LossKind {
  linear,   // rho(z) = z
  soft_l1,  // 2 (sqrt(1 + z) - 1)
  huber,    // z up to 1, 2 sqrt(z) - 1 beyond
  cauchy,   // ln(1 + z)
  arctan,   // arctan(z)
  tukey     // (1 - (1 - z)^3) / 3 up to 1, 1/3 beyond: an outlier has no weight at all
};

LossKind loss_kind(const std::string& name);  // throws std::invalid_argument for an unknown one

class Loss {
 public:
  // `scale` is C: one entry for all residuals, or one for each.
  explicit Loss(LossKind kind = LossKind::linear, Vector scale = Vector::Ones(1));

  bool linear() const { return kind_ == LossKind::linear; }

  // r to s, and ds/dr; r finite. Throws std::invalid_argument if there are not as many scales as residuals.
  void transform(const Vector& r, Vector& s) const;
  void slopes(const Vector& r, Vector& ds) const;

 private:
  void require_scales(Index m) const;
  double scale(Index i) const { return scale_[scale_.size() == 1 ? 0 : i]; }

  LossKind kind_;
  Vector scale_;
};

}  // namespace marquardt
