// The full step p and its gain, from whatever tells them with the fewest operations and all the digits they need:
//
//   Gram rows, no scaled singular value below `well_known`: one Cholesky. The gradient is exact, and p loses no more
//     than 1e-10 of itself to the normal equations.
//   a triangle, of the point or folded for this:  one pivoted QR where no direction is doubtful, one for each of the
//     three ranks where one is.
#include "marquardt/step/certificate.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// A direction is resolved if its scaled singular value is above this many times the relative error of J's entries.
constexpr double drowned = 100;
// A scaled singular value below this: steps along it are a hundred thousand times longer than their effect.
constexpr double nearly_singular = 1e-5;
// From this scaled singular value on normal equations keep ten digits. An estimate from above, mostly within a factor
// of 3, so that no rank asked for here is ever in doubt.
constexpr double well_known = 1e-3;
// Beside a variable's usual size: a variable this near a wall that it is pushed against counts as on it.
constexpr double a_short_way = 1e-3;

double room_downhill(const Box& box, const Vector& x, double g, Index j) {
  return g > 0 ? x[j] - box.lower[j] : box.upper[j] - x[j];
}

}  // namespace

Certifier::Certifier(Box box, double derivative_error) : box_(std::move(box)), normal_equations_(make_cholesky()) {
  expect(derivative_error);
}

void Certifier::expect(double derivative_error) {
  drowned_below_ = drowned * derivative_error;
  truncated_.reset();
}

bool Certifier::held(const Point& here, Index j) const {
  if (box_.fixed(j)) return true;
  const double g = here.g()[j], norm = here.rows.column_norms[j];
  return g != 0 && std::abs(g) >= norm * norm * room_downhill(box_, here.x, g, j);
}

double Certifier::quick(const Point& here) const {
  double largest = 0;
  for (Index j = 0; j < box_.size(); ++j) {
    const double norm = here.rows.column_norms[j];
    if (norm > 0 && !held(here, j)) largest = std::max(largest, std::abs(here.g()[j]) / norm);
  }
  return largest;
}

Eigen::VectorXi Certifier::active(const Point& here, const Vector& typical) const {
  Eigen::VectorXi mask = Eigen::VectorXi::Zero(box_.size());
  for (Index j = 0; j < box_.size(); ++j) {
    const double g = here.g()[j];
    // where a column vanishes any distance is short beside its best move
    const bool near = held(here, j) && room_downhill(box_, here.x, g, j) <= a_short_way * typical[j];
    if (here.x[j] == box_.lower[j] || (near && g > 0)) {
      mask[j] = -1;
    } else if (here.x[j] == box_.upper[j] || (near && g < 0)) {
      mask[j] = 1;
    }
  }
  return mask;
}

double Certifier::measure(const Vector& y) const {
  scaled_ = norms_.cwiseProduct(y);  // stableNorm of an expression would allocate
  return safe_norm(scaled_);
}

// Whether Gram rows tell all that is asked.
bool Certifier::regular(const Reduced& rows) {
  return rows.form == Form::gram && drowned_below_ <= nearly_singular && sigma_(rows) >= well_known;
}

const Reduced& Certifier::triangle_of(const Point& here) {
  if (here.rows.form == Form::triangle) return here.rows;
  if (!accumulator_) accumulator_.emplace(Form::triangle, box_.size());
  return accumulator_->reduce(here.J.view(), here.r);
}

// The model of the free columns, each scaled to length 1; returns what the held variables could gain at their walls.
double Certifier::scale(const Point& here, const Reduced& rows) {
  norms_ = rows.column_norms;
  d_.setZero(box_.size());
  C_.setZero(box_.size());
  double at_walls = 0;
  for (Index j = 0; j < box_.size(); ++j) {
    const bool free = norms_[j] > 0 && !held(here, j);
    d_[j] = free ? 1 / norms_[j] : 0;
    C_[j] = free ? 0 : 1;  // at rest: see model.hpp
    if (!free && !box_.fixed(j) && norms_[j] > 0) {
      at_walls += std::abs(rows.g[j]) * room_downhill(box_, here.x, rows.g[j], j);
    }
  }
  model_.set(rows, d_, C_);
  return at_walls;
}

// What the factored subproblem's full step promises; the step stays in p_hat_.
double Certifier::gain(Subproblem& subproblem) {
  return subproblem.solve(0, p_hat_) ? std::max(model_.decrease(p_hat_), 0.0) + at_walls_ : infinity;
}

// No direction is doubtful: one full step answers every question.
void Certifier::measure_regular(Subproblem& factored) {
  Certificate& c = certificate_;
  c.rho = c.resolved = std::sqrt(2 * gain(factored));
  c.doubtful.setZero(box_.size());
  c.rank = box_.size();
  c.singular = false;
}

void Certifier::measure_by_rank() {
  Certificate& c = certificate_;
  if (!full_) full_ = make_qr();
  if (!truncated_) truncated_ = make_qr(drowned_below_);
  truncated_->factor(model_);
  c.resolved = std::sqrt(2 * gain(*truncated_));
  doubt_ = -p_hat_;
  full_->factor(model_);
  c.rho = std::sqrt(2 * gain(*full_));
  doubt_ += p_hat_;
  const double length = safe_norm(doubt_);
  const double wanted = c.reference > 0 ? c.reference : 1;
  const bool doubtful = truncated_->rank() < full_->rank() && length > 0;
  c.doubtful = (doubtful ? wanted / length : 0) * d_.cwiseProduct(doubt_);
  c.rank = full_->rank();
  c.singular = clear_->rank() < box_.size();
}

const Certificate& Certifier::certify(const Point& here) {
  const bool normal_equations = regular(here.rows);
  at_walls_ = scale(here, normal_equations ? here.rows : triangle_of(here));
  Certificate& c = certificate_;
  c.reference = measure(here.x);
  if (!normal_equations && !clear_) clear_ = make_qr(nearly_singular);
  Subproblem& first = normal_equations ? *normal_equations_ : *clear_;
  first.factor(model_);
  if (normal_equations || (drowned_below_ <= nearly_singular && clear_->rank() == box_.size())) {
    measure_regular(first);
  } else {
    measure_by_rank();
  }
  c.p = d_.cwiseProduct(p_hat_);
  c.size = std::isfinite(c.rho) ? safe_norm(p_hat_) : infinity;
  c.rank -= static_cast<Index>((d_.array() == 0).count());
  return c;
}

}  // namespace marquardt
