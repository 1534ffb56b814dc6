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
// Beside a variable's usual size: a variable this near a wall that it is pushed against counts as on it.
constexpr double a_short_way = 1e-3;

double room_downhill(const Box& box, const Vector& x, double g, Index j) {
  return g > 0 ? x[j] - box.lower[j] : box.upper[j] - x[j];
}

}  // namespace

Certifier::Certifier(Box box, double derivative_error)
    : box_(std::move(box)),
      accumulator_(Form::triangle, box_.size()),
      full_(make_qr()),
      clear_(make_qr(nearly_singular)) {
  expect(derivative_error);
}

void Certifier::expect(double derivative_error) { truncated_ = make_qr(drowned * derivative_error); }

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

const Certificate& Certifier::certify(const Point& here) {
  const Index n = box_.size();
  const Reduced* rows = &here.rows;
  if (rows->form == Form::gram) {
    accumulator_.clear();
    accumulator_.add(here.J.view(), here.r);
    rows = &accumulator_.reduced();
  }
  norms_ = rows->column_norms;
  d_.setZero(n);
  C_.setZero(n);
  double at_walls = 0;  // what the held variables could gain
  for (Index j = 0; j < n; ++j) {
    const bool free = norms_[j] > 0 && !held(here, j);
    d_[j] = free ? 1 / norms_[j] : 0;
    C_[j] = free ? 0 : 1;  // at rest: see model.hpp
    if (!free && !box_.fixed(j) && norms_[j] > 0) {
      at_walls += std::abs(rows->g[j]) * room_downhill(box_, here.x, rows->g[j], j);
    }
  }
  model_.set(*rows, d_, C_);

  const auto gain = [&](Subproblem& subproblem) {  // leaves the step in p_hat_
    subproblem.factor(model_);
    return subproblem.solve(0, p_hat_) ? std::max(model_.decrease(p_hat_), 0.0) + at_walls : infinity;
  };
  Certificate& c = certificate_;
  c.resolved = std::sqrt(2 * gain(*truncated_));
  doubt_ = -p_hat_;
  c.rho = std::sqrt(2 * gain(*full_));
  c.p = d_.cwiseProduct(p_hat_);
  c.size = std::isfinite(c.rho) ? safe_norm(p_hat_) : infinity;
  c.reference = measure(here.x);
  doubt_ += p_hat_;
  const double length = safe_norm(doubt_);
  const double wanted = c.reference > 0 ? c.reference : 1;
  const bool doubtful = truncated_->rank() < full_->rank() && length > 0;
  c.doubtful = (doubtful ? wanted / length : 0) * d_.cwiseProduct(doubt_);
  clear_->factor(model_);
  c.singular = clear_->rank() < n;
  c.rank = full_->rank() - static_cast<Index>((d_.array() == 0).count());
  return c;
}

}  // namespace marquardt
