// min q(x) = 1/2 x'Hx + g'x in a box, by an active-set Newton method.
//
//   gradient   y = Hx + g;  at the solution y_i = 0 (free), >= 0 (at the lower bound), <= 0 (at the upper bound)
//   step       H_FF d_F = -y_F over the free set F
//   search     exact, along the bent path P(x + t d): each variable stops at its wall, q is a quadratic piece by piece
//
// First in blocks: F is every variable that the gradient does not hold at its bound, so that many bounds change in one
// step (two-metric projection; the first-order fall is strict, Bertsekas, proposition 1). Should that not settle, one
// by one: bounds met are added until a face is minimised, then the first wrong one is released. q falls strictly
// from face to face, faces are finite in number, and bounds alone are never linearly dependent, so this cannot cycle.
//
// Every tolerance is relative to the size of the terms of y_i, |g_i| + sqrt(H_ii) sum_j sqrt(H_jj)|x_j| >= sum of
// their absolute values. A change of units in any variable changes nothing.
//
// Where H_FF is singular to rounding its eigenvectors decide (rare; Eigen's solver allocates there): a gradient with a
// part in the null space gives a direction in which q falls linearly to the next wall, or without end;
// otherwise the Newton step of minimum norm, in units that make the diagonal of H one, is taken.
// References: Bertsekas (1982); More & Toraldo (1991); Nocedal & Wright, Numerical Optimization, 16.7.
#include "marquardt/linalg/box_qp.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cassert>
#include <cmath>

namespace marquardt {
namespace {

// One-by-one changes are finite but their number has no useful bound; past this many per variable rounding is at play.
constexpr int systems_per_variable = 20;

// Stopped by rounding rather than by the tolerance: still a solution when the conditions hold to half the digits.
constexpr double rounding_level = 1e-8;

}  // namespace

struct BoxQp::Problem {
  const Matrix& H;
  const VectorView &g, &lower, &upper;
};

BoxQpReport BoxQp::solve(const Matrix& H, const VectorView& g, const VectorView& lower, const VectorView& upper,
                         Vector& x) {
  const Index n = g.size();
  assert(H.rows() == n && H.cols() == n && lower.size() == n && upper.size() == n);
  const Problem qp{H, g, lower, upper};
  BoxQpReport report;
  if (!start(qp, x)) return report;

  const int limit = block_limit_ + systems_per_variable * static_cast<int>(n);
  report.kkt = measure(qp, x);
  hold_all(qp, x);
  bool face_done = false;  // the last step minimised q over its face
  while (std::isfinite(report.kkt)) {
    report.solved = report.kkt <= tolerance_;
    if (report.solved || report.iterations >= limit) break;
    if (report.iterations < block_limit_) {
      hold_all(qp, x);
    } else if (face_done) {
      release_one(qp, x);
    }
    const Direction kind = find_direction(qp);
    ++report.iterations;
    if (!direction_.allFinite()) break;
    face_done = kind == Direction::newton && full_step_fits(qp, x);
    if (face_done) {
      x += direction_;
    } else if (!search(qp, kind, x)) {
      break;  // q falls without end
    }
    const double before = report.kkt;
    report.kkt = measure(qp, x);
    bool wrong = false;  // is any bound held that should not be?
    for (Index i = 0; i < n; ++i) wrong = wrong || (active_[i] != 0 && violation(qp, x, i) > tolerance_ * scale_[i]);
    // A whole Newton step that leaves only rounding, and no more of it to gain
    if (face_done && !wrong && report.kkt > 0.5 * before) {
      report.solved = report.kkt <= rounding_level;
      break;
    }
  }
  for (Index i = 0; i < n; ++i) {
    const bool down = x[i] == lower[i], up = x[i] == upper[i];
    active_[i] = down && up ? (gradient_[i] < 0 ? 1 : -1) : static_cast<int>(up) - static_cast<int>(down);
  }
  return report;
}

// Sizes, checks, and the start projected into the box. False if anything that counts is not finite.
bool BoxQp::start(const Problem& qp, Vector& x) {
  const Index n = qp.g.size();
  if (x.size() != n) x.setZero(n);
  active_.setZero(n);
  if (active_.size() != H_free_.rows()) {
    H_free_.resize(n, n);
    for (Vector* v : {&gradient_, &scale_, &roots_, &direction_, &image_, &breaks_, &free_step_}) v->resize(n);
    free_.reserve(static_cast<std::size_t>(n));
    order_.reserve(static_cast<std::size_t>(n));
  }
  tolerance_ = 10 * static_cast<double>(n) * epsilon;  // LL' leaves about (3n + 1) epsilon
  for (Index i = 0; i < n; ++i) {
    if (!(qp.lower[i] <= qp.upper[i]) || qp.lower[i] == infinity || qp.upper[i] == -infinity) return false;
    x[i] = std::isfinite(x[i]) ? std::clamp(x[i], qp.lower[i], qp.upper[i]) : std::clamp(0.0, qp.lower[i], qp.upper[i]);
    roots_[i] = std::sqrt(std::max(qp.H(i, i), 0.0));
  }
  return qp.H.allFinite() && qp.g.allFinite();
}

// The gradient afresh, the size of its terms, and the largest relative violation (NaN if anything overflowed).
double BoxQp::measure(const Problem& qp, const Vector& x) {
  gradient_ = qp.g;
  gradient_.noalias() += qp.H * x;
  const double weight = roots_.dot(x.cwiseAbs());
  double worst = 0;
  for (Index i = 0; i < x.size(); ++i) {
    scale_[i] = std::abs(qp.g[i]) + roots_[i] * weight;
    if (!std::isfinite(gradient_[i]) || !std::isfinite(scale_[i])) return std::numeric_limits<double>::quiet_NaN();
    const double v = violation(qp, x, i);
    if (v > 0) worst = std::max(worst, v / scale_[i]);
  }
  return worst;
}

double BoxQp::violation(const Problem& qp, const Vector& x, Index i) const {
  const double y = gradient_[i];
  if (x[i] == qp.lower[i] && y >= 0) return 0;
  if (x[i] == qp.upper[i] && y <= 0) return 0;
  return qp.lower[i] == qp.upper[i] ? 0 : std::abs(y);
}

// The working set of the block phase: at a bound, and not pushed inside by more than rounding.
void BoxQp::hold_all(const Problem& qp, const Vector& x) {
  for (Index i = 0; i < x.size(); ++i) {
    const double slack = tolerance_ * scale_[i];
    active_[i] = x[i] == qp.lower[i] && (gradient_[i] >= -slack || qp.lower[i] == qp.upper[i]) ? -1
                 : x[i] == qp.upper[i] && gradient_[i] <= slack                                ? 1
                                                                                               : 0;
  }
}

// The first held variable that its gradient pushes inside becomes free (lowest index: Bland's rule).
void BoxQp::release_one(const Problem& qp, const Vector& x) {
  for (Index i = 0; i < x.size(); ++i) {
    if (active_[i] != 0 && violation(qp, x, i) > tolerance_ * scale_[i]) {
      active_[i] = 0;
      return;
    }
  }
}

// d_F into direction_, zero elsewhere.
BoxQp::Direction BoxQp::find_direction(const Problem& qp) {
  free_.clear();
  for (Index i = 0; i < active_.size(); ++i) {
    if (active_[i] == 0) free_.push_back(i);
  }
  const Index k = static_cast<Index>(free_.size());
  auto block = H_free_.topLeftCorner(k, k);
  for (Index b = 0; b < k; ++b) {
    for (Index a = b; a < k; ++a)
      block(a, b) = qp.H(free_[static_cast<std::size_t>(a)], free_[static_cast<std::size_t>(b)]);
    free_step_[b] = -gradient_[free_[static_cast<std::size_t>(b)]];
  }
  direction_.setZero();
  if (k == 0) return Direction::newton;

  const Eigen::LLT<Eigen::Ref<Matrix>> llt(block);  // in place
  // LL' leaves rounding of about k epsilon of the diagonal in a pivot that should be zero; a hundred times that is kept
  // off, because the eigenvectors still tell such a direction from a null one.
  const double least_pivot = std::sqrt(100 * static_cast<double>(k) * epsilon);
  bool regular = llt.info() == Eigen::Success;
  for (Index a = 0; a < k && regular; ++a) {
    const double root = roots_[free_[static_cast<std::size_t>(a)]];
    regular = block(a, a) > least_pivot * root;
  }
  if (!regular) return singular_direction(qp);
  auto step = free_step_.head(k);
  llt.matrixL().solveInPlace(step);
  llt.matrixU().solveInPlace(step);
  for (Index a = 0; a < k; ++a) direction_[free_[static_cast<std::size_t>(a)]] = step[a];
  return Direction::newton;
}

BoxQp::Direction BoxQp::singular_direction(const Problem& qp) {
  const Index k = static_cast<Index>(free_.size());
  Matrix M(k, k);
  Vector y(k), unit(k);
  double size = 0;
  for (Index a = 0; a < k; ++a) {
    const Index i = free_[static_cast<std::size_t>(a)];
    unit[a] = roots_[i] > 0 ? 1 / roots_[i] : 1;
    y[a] = -gradient_[i] * unit[a];
    size = std::max(size, scale_[i] * unit[a]);
  }
  for (Index b = 0; b < k; ++b) {
    for (Index a = 0; a < k; ++a) {
      M(a, b) = unit[a] * qp.H(free_[static_cast<std::size_t>(a)], free_[static_cast<std::size_t>(b)]) * unit[b];
    }
  }
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(M);
  const Vector& lambda = eigen.eigenvalues();
  Vector c = eigen.eigenvectors().transpose() * y, null = Vector::Zero(k);
  // The diagonal of M is 1 or 0; ten times the usual rounding of its eigenvalues, as H itself was rounded when formed.
  const double floor = 10 * static_cast<double>(k) * epsilon * std::max(lambda[k - 1], 1.0);
  for (Index a = 0; a < k; ++a) {
    if (lambda[a] > floor) {
      c[a] /= lambda[a];
    } else {
      null[a] = c[a];
      c[a] = 0;
    }
  }
  // Ten times the tolerance: the gradient carries its own rounding into the null space.
  const bool ray = null.norm() > 10 * tolerance_ * size;
  const Vector d = eigen.eigenvectors() * (ray ? null : c);
  for (Index a = 0; a < k; ++a) direction_[free_[static_cast<std::size_t>(a)]] = unit[a] * d[a];
  return ray ? Direction::ray : Direction::newton;
}

bool BoxQp::full_step_fits(const Problem& qp, const Vector& x) const {
  for (const Index i : free_) {
    const double there = x[i] + direction_[i];
    if (!(there >= qp.lower[i] && there <= qp.upper[i])) return false;
  }
  return true;
}

// t at which each free variable meets the wall ahead of it, and the order in which they do.
void BoxQp::collect_breaks(const Problem& qp, const Vector& x) {
  order_.clear();
  for (const Index i : free_) {
    const double d = direction_[i];
    const double wall = d > 0 ? qp.upper[i] : qp.lower[i];
    if (d == 0 || !std::isfinite(wall)) continue;
    breaks_[i] = (wall - x[i]) / d;
    order_.push_back(i);
  }
  std::sort(order_.begin(), order_.end(), [this](Index a, Index b) { return breaks_[a] < breaks_[b]; });
}

// Variable i stops at its wall, to the last bit; the path goes on without it.
void BoxQp::clip(const Problem& qp, Index i, Vector& x) {
  const bool up = direction_[i] > 0;
  x[i] = up ? qp.upper[i] : qp.lower[i];
  active_[i] = up ? 1 : -1;
  image_ -= direction_[i] * qp.H.col(i);
  direction_[i] = 0;
}

// Curvature along the present direction that counts as none. A ray has none but rounding's.
double BoxQp::invisible(Direction kind) const {
  if (kind == Direction::newton) return 0;
  const double weight = roots_.dot(direction_.cwiseAbs());  // direction' H direction <= weight^2
  return static_cast<double>(direction_.size()) * epsilon * weight * weight;
}

// x moves to the first local minimiser of q along P(x + t d). False if q falls without end.
bool BoxQp::search(const Problem& qp, Direction kind, Vector& x) {
  collect_breaks(qp, x);
  image_.noalias() = qp.H * direction_;
  double t = 0;
  for (std::size_t next = 0;;) {
    const double slope = gradient_.dot(direction_), curvature = direction_.dot(image_);
    if (!(slope < 0)) break;
    double best = curvature > invisible(kind) ? t - slope / curvature : infinity;
    if (kind == Direction::newton && next == 0) best = 1;  // d'Hd = -y'd by construction
    const double wall = next < order_.size() ? breaks_[order_[next]] : infinity;
    if (best == infinity && wall == infinity) {
      if (kind == Direction::ray) return false;
      t = std::max(t, 1.0);  // a Newton step without visible curvature: its own length is the best known
      break;
    }
    if (best <= wall) {
      t = best;
      break;
    }
    gradient_ += (wall - t) * image_;
    t = wall;
    while (next < order_.size() && breaks_[order_[next]] <= t) clip(qp, order_[next++], x);
  }
  for (const Index i : free_) {
    if (active_[i] == 0) x[i] = std::clamp(x[i] + t * direction_[i], qp.lower[i], qp.upper[i]);
  }
  return true;
}

}  // namespace marquardt
