// Forward, central and complex-step differences. With h the step actually applied (x + h - x as rounded):
//   2-point   J_j = (r(x + h) - r(x)) / h
//   3-point   J_j = (r(x + h) - r(x - h)) / 2h, or at a wall (4 r(x + h) - 3 r(x) - r(x + 2h)) / 2h,
//             or near an x where d = r(x + h) - 2 r(x) + r(x - h) is known  (r(x + h) - r(x) - d/2) / h
//   complex   J_j = Im r(x + ih) / h     (Squire & Trapp 1998: no cancellation, so h may be as small as one likes)
#include "marquardt/problem/difference.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// A parameter whose largest possible effect is below this share of the residuals' size is given a longer step.
constexpr double kappa = 1e-3;
// At a parameter of 0, a predicted change of r beyond this many times r itself tells that its guessed size is too
// large.
constexpr double absurd = 1e4;
// A column whose differences are below this many units of rounding of r has at most three correct digits: too few.
constexpr double lost = 1e3;
// A step is measured again where a tenth of it would do better; not less than this share of it at a time.
constexpr double much_shorter = 0.1, shortest = 1e-4;
// Second differences hold for an x that has moved by no more than this share of h: what they are off by then is a third
// of the error that central differences have anyway.
constexpr double hardly = 0.1;
// Any step this small is exact for the complex formula; relative to |x|, and far above underflow.
constexpr double complex_relative_step = 1e-20;

// The same for the complex step.
constexpr double complex_zero = std::numeric_limits<double>::min() / complex_relative_step;
// Below this |x_j| a step of eps |x_j| is no normal number any more: such a parameter counts as zero.
constexpr double as_good_as_zero = std::numeric_limits<double>::min() / (epsilon * epsilon);

}  // namespace

Differenced::Differenced(Function& function, Scheme scheme, Box box, bool together, Vector relative)
    : function_(function),
      scheme_(scheme == Scheme::automatic ? Scheme::two_point : scheme),
      box_(std::move(box)),
      together_(together),
      refinable_(scheme == Scheme::automatic),
      keeps_second_(scheme == Scheme::automatic),
      relative_(std::move(relative)) {}

void Differenced::refine() {
  if (refinable_) scheme_ = Scheme::three_point;
  refinable_ = false;
}

// With h = eps^p s: sqrt(eps) forward, eps^(2/3) central.
double Differenced::derivative_error() const {
  switch (scheme_) {
    case Scheme::two_point:
      return std::sqrt(precision());
    case Scheme::three_point:
      return std::pow(precision(), 2.0 / 3.0);
    default:
      return precision();
  }
}

void Differenced::jacobian(const Vector& x, const Vector& r, Jacobian& filled) {
  assert(x.size() == box_.size());
  Matrix& J = filled.own();
  J.resize(r.size(), x.size());
  steps_.setZero(x.size());
  if (scheme_ == Scheme::complex_step) {
    complex_jacobian(x, J);
  } else {
    real_jacobian(x, r, J);
  }
}

void Differenced::real_jacobian(const Vector& x, const Vector& r, Matrix& J) {
  J.setZero();
  change_.setZero(x.size());
  bend_.setZero(x.size());
  if (cap_.size() != x.size()) cap_.setConstant(x.size(), infinity);
  sizes(x, r);
  if (measure_near_last(x, r, J)) return;
  second_h_.setZero(x.size());
  stencils_.clear();
  for (Index j = 0; j < x.size(); ++j) {
    if (!box_.fixed(j)) stencils_.push_back(stencil(x, j, size_[j], x[j] < 0 ? -1 : 1));
  }
  measure_all(x, r, J);
  if (relative_.size() == 0) remeasure_poor_columns(x, r, J);
  if (keeps_second_ && scheme_ == Scheme::three_point) second_x_ = x;
  column_norms_.resize(x.size());
  for (Index j = 0; j < x.size(); ++j) column_norms_[j] = safe_norm(J.col(j));
}

// Forward differences, with the steps and the second differences of the last central ones. False where x has moved on,
// or a column comes out poor.
bool Differenced::measure_near_last(const Vector& x, const Vector& r, Matrix& J) {
  if (second_x_.size() == 0) return false;
  stencils_.clear();
  for (Index j = 0; j < x.size(); ++j) {
    if (box_.fixed(j)) continue;
    const double h = second_h_[j];
    if (!(h > 0 && std::abs(x[j] - second_x_[j]) <= hardly * h)) return false;
    stencils_.push_back({j, x[j] + h <= box_.upper[j] ? h : -h, 0, Formula::bent});
  }
  measure_all(x, r, J);
  for (const Stencil& s : stencils_) column_norms_[s.column] = safe_norm(J.col(s.column));
  return J.allFinite();
}

// s_j: see the header. Without a Jacobian yet, |x_j| alone, and 1 where that is 0.
void Differenced::sizes(const Vector& x, const Vector& r) {
  size_ = x.cwiseAbs();
  const bool known = relative_.size() == 0 && column_norms_.size() == x.size() && column_norms_.allFinite();
  const double F = known ? std::max(safe_norm(r), column_norms_.cwiseProduct(size_).maxCoeff()) : 0.0;
  for (Index j = 0; j < x.size(); ++j) {
    if (known && column_norms_[j] > 0) {
      const double visible = std::min(kappa * F / column_norms_[j], 1.0);
      size_[j] = std::max(size_[j], visible);
    }
    size_[j] = std::min(size_[j], cap_[j]);
    if (!(size_[j] > as_good_as_zero)) size_[j] = 1;
  }
}

Differenced::Stencil Differenced::stencil(const Vector& x, Index j, double size, int direction, bool one_sided) const {
  const bool three = scheme_ == Scheme::three_point;
  const bool own = relative_.size() > 0 && x[j] != 0;
  const double unit = own ? relative_[j] : three ? std::cbrt(precision()) : std::sqrt(precision());
  const double h = unit * size;
  const double below = x[j] - box_.lower[j], above = box_.upper[j] - x[j];
  if (three && !one_sided && h <= std::min(below, above)) return {j, h, -h, Formula::central};
  // One-sided: the asked direction if it has room, else the other, else as far as the roomier side goes.
  const double reach = three ? 2 * h : h;
  double ahead = direction > 0 ? above : below;
  double behind = direction > 0 ? below : above;
  if (ahead < reach && behind > ahead) {
    std::swap(ahead, behind);
    direction = -direction;
  }
  const double step = direction * (ahead < reach ? ahead * h / reach : h);
  return {j, step, three ? 2 * step : 0.0, three ? Formula::parabola : Formula::forward};
}

// The stencils at hand, in one call or one after another.
void Differenced::measure_all(const Vector& x, const Vector& r, Matrix& J) {
  const std::size_t batch = together_ ? stencils_.size() : 1;
  for (std::size_t i = 0; i < stencils_.size(); i += batch) measure(x, r, &stencils_[i], batch, J);
}

// Evaluates the points of stencils of the same length in one call, and fills their columns of J and of change_.
void Differenced::measure(const Vector& x, const Vector& r, const Stencil* stencils, std::size_t count, Matrix& J) {
  const Index length = stencils->length();
  points_.resize(x.size(), static_cast<Index>(count) * length);
  points_.colwise() = x;
  for (Index k = 0; k < points_.cols(); ++k) {
    const Stencil& s = stencils[k / length];
    double& xj = points_(s.column, k);
    xj = std::clamp(xj + (k % length == 0 ? s.first : s.second), box_.lower[s.column], box_.upper[s.column]);
  }
  function_.values(points_, values_);
  evaluations_ += points_.cols();
  for (std::size_t i = 0; i < count; ++i) fill(stencils[i], static_cast<Index>(i) * length, x, r, J);
}

// The column of one stencil, whose values stand in columns k and, if it has two points, k + 1.
void Differenced::fill(const Stencil& s, Index k, const Vector& x, const Vector& r, Matrix& J) {
  const Index j = s.column;
  const bool two = s.length() == 2;
  const double h1 = points_(j, k) - x[j], h2 = two ? points_(j, k + 1) - x[j] : 0;
  if (two && (h1 == 0 || h2 == 0 || h1 == h2)) {  // a box of a few roundings has no three points: the two that differ
    const bool first = h1 != 0;
    J.col(j) = (values_.col(first ? k : k + 1) - r) / (first ? h1 : h2);
  } else if (s.formula == Formula::central) {
    J.col(j) = (values_.col(k) - values_.col(k + 1)) / (h1 - h2);
  } else if (s.formula == Formula::parabola) {
    J.col(j) = (values_.col(k) - r) * (h2 / (h1 * (h2 - h1))) - (values_.col(k + 1) - r) * (h1 / (h2 * (h2 - h1)));
  } else if (s.formula == Formula::bent) {
    const double share = h1 / second_h_[j];
    J.col(j) = (values_.col(k) - r - 0.5 * share * share * second_.col(j)) / h1;
  } else {
    J.col(j) = (values_.col(k) - r) / h1;
  }
  steps_[j] = std::abs(h1);
  change_[j] = safe_norm(values_.col(k) - r);
  if (s.formula == Formula::central) {
    keep_second(k, r, j, std::abs(h1));
  } else if (s.formula == Formula::parabola && keeps_second_) {
    second_h_[j] = 0;
  }
}

// From the points j + h and j - h in columns k and k + 1 of the values.
void Differenced::keep_second(Index k, const Vector& r, Index j, double h) {
  const auto ahead = values_.col(k), behind = values_.col(k + 1);
  bend_[j] = safe_norm(ahead + behind - 2 * r) / safe_norm(ahead - behind);
  if (!keeps_second_) return;
  second_.resize(r.size(), box_.size());
  second_.col(j) = ahead + behind - 2 * r;
  second_h_[j] = h;
}

// Columns that came out non-finite are measured on the other side of x, lost ones with longer steps. At a parameter
// that is exactly 0 the guessed size 1 may be absurdly large: a column that dwarfs r says so, and gives the right size.
void Differenced::remeasure_poor_columns(const Vector& x, const Vector& r, Matrix& J) {
  const double norm_r = safe_norm(r);
  for (Index j = 0; j < x.size(); ++j) {
    if (box_.fixed(j)) continue;
    if (!J.col(j).allFinite()) {
      for (const int direction : {-1, 1}) {  // back towards 0 first
        measure(x, r, stencil(x, j, size_[j], x[j] < 0 ? -direction : direction, true), J);
        if (J.col(j).allFinite()) break;
      }
    } else if (change_[j] <= lost * precision() * norm_r) {
      lengthen(x, r, j, J);
    } else if (x[j] == 0 && column_norms_.size() == 0 && norm_r > 0) {
      shorten(x, r, j, J);
    }
  }
  if (scheme_ == Scheme::three_point) straighten(x, r, J);
}

// Steps a thousand, then a million times longer, at last one for a parameter of size 1; the first that shows is kept.
void Differenced::lengthen(const Vector& x, const Vector& r, Index j, Matrix& J) {
  const double norm_r = safe_norm(r);
  const double unit = std::max(1.0, std::abs(x[j]));
  const Vector before = J.col(j);
  double previous = size_[j];
  for (const double longer : {std::min(1e3 * size_[j], unit), std::min(1e6 * size_[j], unit), unit}) {
    if (longer <= previous) continue;
    previous = longer;
    measure(x, r, stencil(x, j, longer, x[j] < 0 ? -1 : 1), J);
    if (!J.col(j).allFinite()) {
      restore(j, before, J);
      return;
    }
    if (change_[j] > lost * precision() * norm_r) return;
  }
}

// Central steps that are too long for parameters whose effect bends over less than |x_j|: with the bend b, the second
// difference over the first, the formula's error is about b^2 and that of rounding eps F / ||change||, F the size of
// the terms of r; a step t times as long makes them (t b)^2 and 1/t of it, which meet at the t tried here. The shorter
// size is kept for the next Jacobians, until it is seen to be too short. All in one call, as the columns were.
void Differenced::straighten(const Vector& x, const Vector& r, Matrix& J) {
  double F = safe_norm(r);
  for (Index j = 0; j < x.size(); ++j) F = std::max(F, safe_norm(J.col(j)) * std::abs(x[j]));
  std::vector<Stencil> again;
  for (Index j = 0; j < x.size(); ++j) {
    const double b = std::min(bend_[j], 1.0);
    if (!(b > 0 && change_[j] > lost * precision() * F)) continue;
    const double t = std::cbrt(precision() * F / (change_[j] * b * b));
    if (t < much_shorter) {
      cap_[j] = size_[j] *= std::max(t, shortest);
      again.push_back(stencil(x, j, size_[j], 1));
    } else if (t > 1) {
      cap_[j] *= t;
    }
  }
  if (again.empty()) return;
  const Matrix before = J;
  const Vector bent = bend_;
  measure(x, r, again.data(), again.size(), J);
  for (const Stencil& s : again) {
    const Index j = s.column;
    if (J.col(j).allFinite() && bend_[j] < 0.5 * bent[j]) continue;
    restore(j, before.col(j), J);  // a bend that stays is rounding
    cap_[j] = infinity;
  }
}

// The column as it was, which what was measured since says nothing of.
void Differenced::restore(Index j, const Vector& before, Matrix& J) {
  J.col(j) = before;
  second_h_[j] = 0;
}

// At a parameter that is exactly 0, whose size 1 was a guess: a hundredth of it at a time, until the change of r that
// the column predicts over that size is no longer absurd.
void Differenced::shorten(const Vector& x, const Vector& r, Index j, Matrix& J) {
  const double norm_r = safe_norm(r);
  for (int k = 0; k < 8 && safe_norm(J.col(j)) * size_[j] > absurd * norm_r; ++k) {
    const Vector before = J.col(j);
    measure(x, r, stencil(x, j, 0.01 * size_[j], 1), J);
    if (!J.col(j).allFinite()) {
      restore(j, before, J);
      return;
    }
    size_[j] *= 0.01;
  }
}

void Differenced::complex_jacobian(const Vector& x, Matrix& J) {
  J.setZero();
  std::vector<Index> columns;
  for (Index j = 0; j < x.size(); ++j) {
    if (!box_.fixed(j)) columns.push_back(j);
  }
  const auto batch = together_ ? std::max<std::size_t>(columns.size(), 1) : std::size_t{1};
  for (std::size_t first = 0; first < columns.size(); first += batch) {
    const std::size_t count = std::min(batch, columns.size() - first);
    complex_points_.resize(x.size(), static_cast<Index>(count));
    complex_points_.colwise() = x.cast<std::complex<double>>();
    const auto step = [&](Index j) {
      return complex_relative_step * (std::abs(x[j]) > complex_zero ? std::abs(x[j]) : 1.0);
    };
    for (std::size_t k = 0; k < count; ++k) {
      const Index j = columns[first + k];
      complex_points_(j, static_cast<Index>(k)) += std::complex<double>(0, step(j));
    }
    function_.values(complex_points_, complex_values_);
    evaluations_ += static_cast<Index>(count);
    for (std::size_t k = 0; k < count; ++k) {
      const Index j = columns[first + k];
      J.col(j) = complex_values_.col(static_cast<Index>(k)).imag() / step(j);
    }
  }
}

}  // namespace marquardt
