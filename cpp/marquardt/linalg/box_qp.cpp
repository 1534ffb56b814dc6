// min q(x) = 1/2 x'Hx + g'x in a box, by active-set Newton methods.
//
//   gradient   y = Hx + g;  at the solution y_i = 0 (free), >= 0 (at the lower bound), <= 0 (at the upper bound)
//   step       H_FF d_F = -y_F over the free set F
//
// Four ways to the right free set, each taking over where the one before it gives up:
//
//   sweeps  Gauss-Seidel over the coordinates, each clipped to its bounds: a guess of the active set for O(n^2)
//   whole   where the first sweep leaves hardly anybody on a bound: the minimiser over all of space, if it is inside
//   blocks  principal pivoting: the step is taken whole; free variables now outside become held, held ones with a
//           gradient of the wrong sign become free, all at once (Judice & Pires). Usually one to five systems. It may
//           cycle, so the number of wrong ones has to fall within a few systems.
//   faces   projected Newton with an exact search along the bent path P(x + t d): each variable stops at its wall, q is
//           a quadratic piece by piece. At first F is every variable that the gradient does not hold at its bound (the
//           first-order fall is strict, Bertsekas, proposition 1). Should that not settle, one by one: bounds met are
//           added until a face is minimised, then the first wrong one is released. q falls strictly from face to
//           face, faces are finite in number, and bounds alone are never linearly dependent: this cannot cycle.
//
// The Cholesky factor belongs to an order of the variables, free ones first, those likely to change last. A new free
// set keeps the factor of its leading variables that stayed, so that most changes cost far less than a factorisation.
//
// Every tolerance is relative to the size of the terms of y_i, |g_i| + sqrt(H_ii) sum_j sqrt(H_jj)|x_j| >= sum of
// their absolute values. A change of units in any variable changes nothing.
//
// Where H_FF is singular to rounding, blocks take proximal steps (H_FF + shift diag(H_FF)) d_F = -y_F, whose fixed
// points are those of the Newton step; one that does not shrink and meets no wall is a ray. On faces its eigenvectors
// decide (rare; Eigen's solver allocates there): a gradient with a part in the null space gives a direction in which q
// falls linearly to the next wall, or without end; otherwise the Newton step of minimum norm, in units that make the
// diagonal of H one, is taken.
//
// References: Judice & Pires (1994); Bertsekas (1982); More & Toraldo (1991); Nocedal & Wright, Numerical Optimization,
// 16.7; Rockafellar (1976), Monotone operators and the proximal point algorithm.
#include "marquardt/linalg/box_qp.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "marquardt/linalg/cholesky.hpp"

namespace marquardt {
namespace {

// One-by-one changes are finite but their number has no useful bound; past this many per variable rounding is at play.
constexpr int systems_per_variable = 20;

// Stopped by rounding rather than by the tolerance: still a solution when the conditions hold this well.
constexpr double rounding_level = 1e-12;

// Five sweeps find nearly all of the active set where H is well conditioned; where it is not, five times as many find
// little more.
constexpr int sweeps = 5;

// Systems in a row without fewer wrong variables than ever before (Judice & Pires use 10).
constexpr int block_patience = 10;

// The first shift moves x along a null direction by at most 1e7 times its own scale, and leaves 1e-7 of the residual
// per step where H is far from singular.
constexpr double first_shift = 1e-7;

// Terms of Hx this much larger than g: x may be far out along a null direction of H, where rounding of the gradient
// hides g. No such start is believed, nor kept where H turns out to be singular.
constexpr double remote_size = 1e6;

// A proximal step along a null direction is as long each time; near a solution it is the shift's noise, at most about
// 1 / (100 n) of x.
constexpr double settled_step = 0.05;

// Where a first guess holds no more than one variable in eight, the box may not matter at all: one factorisation of all
// of H tells, at 1.5 times the price of the free part's.
constexpr Index few_held = 8;

// Steps with a shifted factor cost O(n^2) each: one more is taken where the conditions hold less well than this.
constexpr double fine_level = 10 * epsilon;

}  // namespace

struct BoxQp::Problem {
  const MatrixView& H;
  const VectorView &g, &lower, &upper;
};

BoxQpReport BoxQp::solve(const MatrixView& H, const VectorView& g, const VectorView& lower, const VectorView& upper,
                         const Eigen::VectorXi& guess, Vector& x, Convexity convexity) {
  assert(guess.size() == g.size());
  if (x.size() != g.size()) x.setZero(g.size());
  for (Index i = 0; i < g.size(); ++i) {
    if (guess[i] < 0) x[i] = lower[i];  // start() repairs an infinite one
    if (guess[i] > 0) x[i] = upper[i];
  }
  return solve(H, g, lower, upper, x, convexity);
}

BoxQpReport BoxQp::solve(const MatrixView& H, const VectorView& g, const VectorView& lower, const VectorView& upper,
                         Vector& x, Convexity convexity) {
  assert(H.rows() == g.size() && H.cols() == g.size() && lower.size() == g.size() && upper.size() == g.size());
  const Problem qp{H, g, lower, upper};
  BoxQpReport report;
  if (!start(qp, x)) return report;
  const bool checked = convexity == Convexity::checked;
  report.status = BoxQpStatus::stalled;
  report.kkt = measure(qp, x);
  mark(qp, x);
  indefinite_ = checked && refuted_by_diagonal(qp);
  if (std::isfinite(report.kkt) && !indefinite_) {
    report.solved = report.kkt <= tolerance_ && !remote(qp, x);
    guess(qp, x, checked, report);
    if (!report.solved && !indefinite_) report.solved = settle_blocks(qp, x, report);
    if (!report.solved && !indefinite_ && report.status != BoxQpStatus::unbounded) settle_faces(qp, x, report);
  }
  finish(qp, x, report);
  return report;
}

// A first active set, the order of the variables, and the factor of all of H if that is due or likely to be the last.
void BoxQp::guess(const Problem& qp, Vector& x, bool prove, BoxQpReport& report) {
  const Index n = x.size();
  const bool cold = !report.solved && block_limit_ > 0 && (active_.array() == 0).all();
  const bool clear = !cold || sweep(qp, x, true);
  const bool few = few_held * (active_.array() != 0).count() <= n;
  if (cold && !few) report.kkt = measure(qp, x);
  rank_by_margin(qp, x);
  if (!(prove || (cold && few)) || !factor_whole(qp, prove)) {
    if (cold && few && !indefinite_) resume_sweeps(qp, x, report);
    return;
  }
  if (report.solved) return;
  const bool worthwhile = few || !clear || n <= cholesky_panel;  // likely the last step, or a cheap one
  const bool inside = worthwhile && take_whole_step(qp, x, report);
  if (cold && few && !inside) resume_sweeps(qp, x, report);
}

// The sweeps that looked unnecessary.
void BoxQp::resume_sweeps(const Problem& qp, Vector& x, BoxQpReport& report) {
  sweep(qp, x, false);
  report.kkt = measure(qp, x);
}

// Sizes, checks, and the start projected into the box. False if anything that counts is not finite.
bool BoxQp::start(const Problem& qp, Vector& x) {
  const Index n = qp.g.size();
  if (x.size() != n) x.setZero(n);
  active_.setZero(n);
  if (factor_.rows() != n) {  // buffers that most problems do not need get their size where they are used
    factor_.resize(n, n);
    for (Vector* v : {&gradient_, &scale_, &roots_, &step_, &trial_}) v->resize(n);
    for (std::vector<Index>* v : {&order_, &scratch_}) v->reserve(static_cast<std::size_t>(n));
  }
  tolerance_ = 10 * static_cast<double>(n) * epsilon;     // LL' leaves about (3n + 1) epsilon
  least_shift_ = 100 * static_cast<double>(n) * epsilon;  // what factor_leading takes for singular
  shift_ = 0;
  factored_ = 0;
  singular_ = indefinite_ = false;
  for (Index i = 0; i < n; ++i) {
    if (!(qp.lower[i] <= qp.upper[i]) || qp.lower[i] == infinity || qp.upper[i] == -infinity) return false;
    x[i] = std::isfinite(x[i]) ? std::clamp(x[i], qp.lower[i], qp.upper[i]) : std::clamp(0.0, qp.lower[i], qp.upper[i]);
    roots_[i] = std::sqrt(std::max(qp.H(i, i), 0.0));
  }
  return (0 * qp.H).sum() == 0 && (0 * qp.g).sum() == 0;  // nothing infinite or NaN, in one vectorised pass
}

// What the public sees: which bounds x is on, and why it ended.
void BoxQp::finish(const Problem& qp, const Vector& x, BoxQpReport& report) {
  for (Index i = 0; i < x.size(); ++i) {
    const bool down = x[i] == qp.lower[i], up = x[i] == qp.upper[i];
    active_[i] = down && up ? (gradient_[i] < 0 ? 1 : -1) : static_cast<int>(up) - static_cast<int>(down);
  }
  if (indefinite_) {
    report.status = BoxQpStatus::not_convex;
    report.solved = false;
  } else if (report.solved) {
    report.status = BoxQpStatus::solved;
  }
  report.singular = singular_;
}

Vector BoxQp::multipliers() const {
  return (-active_.cast<double>().array() * gradient_.array()).max(0.0) + 0.0;  // a wrong sign is rounding's
}

// The gradient afresh, the size of its terms, and the largest relative violation (NaN if anything overflowed).
double BoxQp::measure(const Problem& qp, const Vector& x) {
  gradient_ = qp.g;
  if ((x.array() != 0).any()) gradient_.noalias() += qp.H * x;
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

bool BoxQp::remote(const Problem& qp, const Vector& x) const {
  double pull = 0;
  for (Index i = 0; i < x.size(); ++i) {
    if (roots_[i] > 0) pull = std::max(pull, std::abs(qp.g[i]) / roots_[i]);
  }
  return roots_.dot(x.cwiseAbs()) > remote_size * pull;
}

// Held where x is on a bound, free elsewhere.
void BoxQp::mark(const Problem& qp, const Vector& x) {
  for (Index i = 0; i < x.size(); ++i) active_[i] = x[i] == qp.lower[i] ? -1 : x[i] == qp.upper[i] ? 1 : 0;
}

bool BoxQp::wrongly_held(const Problem& qp, const Vector& x, Index i) const {
  return active_[i] != 0 && violation(qp, x, i) > tolerance_ * scale_[i];
}

// ---------------------------------------------------------------------------------------------------- sweeps

// x moves to the minimiser along one coordinate after the other; gradient_ follows. Ends once a round leaves every
// variable on the side of its bounds where it was; with `until_few` also once hardly any is held. False if it has not
// come to that.
bool BoxQp::sweep(const Problem& qp, Vector& x, bool until_few) {
  bool changed = true;
  for (int round = 0; round < sweeps; ++round) {
    changed = false;
    Index held = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const double y = gradient_[i], h = qp.H(i, i);
      const double free = h > 0 ? x[i] - y / h : y > 0 ? -infinity : y < 0 ? infinity : x[i];
      const double there = std::clamp(free, qp.lower[i], qp.upper[i]), move = there - x[i];
      if (move != 0 && std::isfinite(move)) {
        x[i] = there;
        gradient_ += move * qp.H.col(i);
      }
      const int side = static_cast<int>(x[i] == qp.upper[i]) - static_cast<int>(x[i] == qp.lower[i]);
      changed = changed || side != active_[i];
      active_[i] = side;
      held += static_cast<Index>(side != 0);
    }
    if (!changed || (until_few && few_held * held <= x.size())) break;
  }
  mark(qp, x);
  return !changed;
}

// --------------------------------------------------------------------------------------- the factor and its order

// Free variables first, those far from their walls before those near: the near ones are the ones likely to change.
// Where no bound is in play they keep their own order, which is the cheapest to factor.
void BoxQp::rank_by_margin(const Problem& qp, const Vector& x) {
  order_.resize(static_cast<std::size_t>(x.size()));
  std::iota(order_.begin(), order_.end(), Index{0});
  factored_ = 0;
  if ((active_.array() == 0).all()) return;
  Vector& margin = trial_;
  for (Index i = 0; i < x.size(); ++i) {
    const double room = std::min(x[i] - qp.lower[i], qp.upper[i] - x[i]) * roots_[i];
    margin[i] = active_[i] != 0 ? -1 : roots_[i] > 0 ? room : 0;
  }
  std::sort(order_.begin(), order_.end(),
            [&margin](Index a, Index b) { return margin[a] > margin[b] || (margin[a] == margin[b] && a < b); });
}

// Brings order_ up to date with the working set, free variables first, and factored_ with order_. Returns the number of
// free variables.
Index BoxQp::group() {
  scratch_.clear();
  for (const Index i : order_) {
    if (active_[i] == 0) scratch_.push_back(i);
  }
  const Index free = static_cast<Index>(scratch_.size());
  for (const Index i : order_) {
    if (active_[i] != 0) scratch_.push_back(i);
  }
  Index same = 0;
  while (same < factored_ && order_[static_cast<std::size_t>(same)] == scratch_[static_cast<std::size_t>(same)]) ++same;
  factored_ = same;
  order_.swap(scratch_);
  return free;
}

// Rows p to k - 1 and columns 0 to k - 1 of H in the order of order_, lower triangle, the shift added.
void BoxQp::gather(const Problem& qp, Index p, Index k) {
  const bool in_order = std::is_sorted(order_.begin(), order_.begin() + k) && (k == 0 || at(k - 1) == k - 1);
  for (Index b = 0; b < k; ++b) {
    const Index top = std::max(p, b);
    if (in_order) {
      factor_.col(b).segment(top, k - top) = qp.H.col(b).segment(top, k - top);
    } else {
      const auto column = qp.H.col(at(b));
      for (Index a = top; a < k; ++a) factor_(a, b) = column[at(a)];
    }
  }
  if (shift_ == 0) return;
  // a column of zeros has no unit of its own
  for (Index a = p; a < k; ++a) factor_(a, a) += shift_ * (roots_[at(a)] > 0 ? factor_(a, a) : 1);
}

// Rows p to k - 1 of the factor of H + shift diag(H), for the first k variables of order_; rows before p are valid.
// False if a pivot is zero to rounding.
bool BoxQp::factor_leading(const Problem& qp, Index p, Index k) {
  gather(qp, p, k);
  MatrixBlock tail = factor_.block(p, p, k - p, k - p);
  if (p > 0) {
    auto side = factor_.block(p, 0, k - p, p);
    factor_.topLeftCorner(p, p).triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(side);
    tail.selfadjointView<Eigen::Lower>().rankUpdate(side, -1);
  }
  // LL' leaves rounding of about k epsilon of the diagonal in a pivot that should be zero; a hundred times that is kept
  // off, because a proximal step or the eigenvectors still tell such a direction from a null one.
  const double least = shift_ > 0 ? 0 : 100 * static_cast<double>(k) * epsilon;
  for (Index a = p; a < k; ++a) step_[a] = least * roots_[at(a)] * roots_[at(a)];
  const bool regular = cholesky(tail, step_.data() + p);
  factored_ = regular ? k : 0;
  return regular;
}

// The factor of the free variables, shifted where H_FF is singular. False if not even that exists.
bool BoxQp::factor_free(const Problem& qp) {
  const Index k = group();
  if (factored_ >= k) return true;
  if (factor_leading(qp, factored_, k)) return true;
  if (shift_ >= first_shift) return false;
  singular_ = true;
  shift_ = first_shift;
  return factor_leading(qp, 0, k);
}

// v becomes (H_FF + shift diag)^-1 v, for the first k variables of order_.
void BoxQp::solve_factored(Index k, Vector& v) const {
  auto head = v.head(k);
  const auto L = factor_.topLeftCorner(k, k).triangularView<Eigen::Lower>();
  L.solveInPlace(head);
  L.transpose().solveInPlace(head);
}

// step_ = -(H_FF)^-1 y_F for the first k variables of order_. With a shift S that is the sum of two proximal steps,
// d = -(H_FF + S)^-1 y_F and (H_FF + S)^-1 S d, as H_FF d + y_F = -S d: what the shift leaves is squared. Returns the
// size of the second one; along a null direction it is as long as the first, elsewhere all but nothing.
double BoxQp::newton_step(Index k) {
  for (Index a = 0; a < k; ++a) step_[a] = -gradient_[at(a)];
  solve_factored(k, step_);
  if (shift_ == 0) return 0;
  for (Index a = 0; a < k; ++a) {
    const double root = roots_[at(a)];
    trial_[a] = shift_ * (root > 0 ? root * root : 1) * step_[a];
  }
  solve_factored(k, trial_);
  double size = 0;
  for (Index a = 0; a < k; ++a) {
    step_[a] += trial_[a];
    size += roots_[at(a)] * std::abs(trial_[a]);
  }
  return size;
}

// e_i'He_i < 0, or zero beside an element that is not: no rounding is involved.
bool BoxQp::refuted_by_diagonal(const Problem& qp) const {
  for (Index i = 0; i < roots_.size(); ++i) {
    if (qp.H(i, i) < 0 || (qp.H(i, i) == 0 && qp.H.col(i).cwiseAbs().maxCoeff() > 0)) return true;
  }
  return false;
}

// The factor of all of H, its leading part that of the free variables. With `prove`, of H and the shift that rounding
// may have taken from it, if need be: where not even that exists, H is indefinite. A matrix of one panel shows early
// whether it needs the shift; a large one gets it at once, as one factorisation is then dearer than steps in two parts.
bool BoxQp::factor_whole(const Problem& qp, bool prove) {
  group();
  const Index n = active_.size();
  if ((!prove || n <= cholesky_panel) && factor_leading(qp, 0, n)) return true;
  if (!prove) return false;
  shift_ = least_shift_;
  indefinite_ = !factor_leading(qp, 0, n);
  return !indefinite_;
}

// To the minimiser over all of space. False, and x stays, if that is not inside the box.
bool BoxQp::take_whole_step(const Problem& qp, Vector& x, BoxQpReport& report) {
  const Index n = x.size();
  const double second = newton_step(n);
  for (Index a = 0; a < n; ++a) {
    const Index i = at(a);
    trial_[i] = x[i] + step_[a];
    if (!(trial_[i] > qp.lower[i] && trial_[i] < qp.upper[i])) return false;
  }
  if (shift_ > 0 && remote(qp, trial_)) return false;  // perhaps a step along a null direction
  x.swap(trial_);
  active_.setZero();
  ++report.iterations;
  report.kkt = measure(qp, x);
  report.solved = report.kkt <= tolerance_ && settled(second, x) && (shift_ == 0 || report.kkt <= fine_level);
  if (report.solved) note_rank(n);
  return true;
}

// Whether the second part of a shifted step is noise.
bool BoxQp::settled(double second, const Vector& x) const {
  return shift_ == 0 || second <= settled_step * roots_.dot(x.cwiseAbs());
}

// ---------------------------------------------------------------------------------------------------- blocks

// next_ = the working set after every wrong variable has changed sides; returns how many are wrong.
Index BoxQp::classify(const Problem& qp, const Vector& x) {
  Index wrong = 0;
  for (Index i = 0; i < x.size(); ++i) {
    next_[i] = active_[i];
    if (active_[i] == 0) {
      next_[i] = static_cast<int>(x[i] > qp.upper[i]) - static_cast<int>(x[i] < qp.lower[i]);
    } else if (wrongly_held(qp, x, i)) {
      next_[i] = 0;
    }
    wrong += static_cast<Index>(next_[i] != active_[i]);
  }
  return wrong;
}

// Puts the working set next_ in force.
void BoxQp::exchange(const Problem& qp, Vector& x) {
  active_ = next_;
  for (Index i = 0; i < x.size(); ++i) {
    if (active_[i] != 0) x[i] = active_[i] < 0 ? qp.lower[i] : qp.upper[i];
  }
}

// Principal pivoting by blocks. False, and x as it was, if it does not settle.
bool BoxQp::settle_blocks(const Problem& qp, Vector& x, BoxQpReport& report) {
  Index fewest = x.size() + 1;
  int patience = block_patience;
  double last = infinity;  // what the step before this one left, if on the same face
  refuge_ = x;
  next_.resize(x.size());

  while (report.iterations < block_limit_ && factor_free(qp)) {
    const Index k = group();
    const double second = newton_step(k);
    ++report.iterations;
    if (falls_forever(qp, x, k, second)) {
      report.status = BoxQpStatus::unbounded;
      return false;
    }
    for (Index a = 0; a < k; ++a) x[at(a)] += step_[a];
    report.kkt = measure(qp, x);
    if (!std::isfinite(report.kkt)) break;
    const Index wrong = classify(qp, x);
    if (wrong == 0) {
      if (report.kkt <= tolerance_ && settled(second, x)) {
        if (shift_ > 0 && report.kkt > fine_level && report.kkt <= 0.5 * last) {
          last = report.kkt;
          continue;
        }
        if (shift_ == 0 || !remote(qp, x)) {
          note_rank(k);
          return true;
        }
        // so far out only a regular system is believed
        shift_ = 0;
        singular_ = !factor_leading(qp, 0, k);
        if (singular_) break;
      }
      if (!improve(report.kkt, last)) break;
      last = report.kkt;
      continue;
    }
    last = infinity;
    exchange(qp, x);
    if (wrong < fewest) {
      fewest = wrong;
      patience = block_patience;
    } else if (--patience < 0) {
      break;
    }
    report.kkt = measure(qp, x);
    if (!std::isfinite(report.kkt)) break;
  }
  x = refuge_;
  return false;
}

// Whether the second part of a shifted step, in trial_, is a ray: it has not shrunk, meets no wall, H does not see it
// and q falls along it by more than rounding. Then direction_ is that ray; where this is in doubt, faces decide.
bool BoxQp::falls_forever(const Problem& qp, const Vector& x, Index k, double second) {
  if (settled(second, x)) return false;
  const double size = trial_.head(k).cwiseAbs().maxCoeff();
  if (!(size > 0) || !std::isfinite(size)) return false;
  direction_.setZero(x.size());
  for (Index a = 0; a < k; ++a) {
    const double d = trial_[a] / size;
    if (std::isfinite(d > 0 ? qp.upper[at(a)] : qp.lower[at(a)])) return false;
    direction_[at(a)] = d;
  }
  image_.noalias() = qp.H * direction_;
  // the largest term, not their sum, so that an eigenvalue counts as zero no sooner than in singular_direction()
  const double weight = roots_.cwiseProduct(direction_).cwiseAbs().maxCoeff();
  const bool unseen = (image_.array().abs() <= tolerance_ * weight * roots_.array()).all();
  // ten times the tolerance: the gradient carries its own rounding into the null space
  const bool falls = gradient_.dot(direction_) < -10 * tolerance_ * scale_.dot(direction_.cwiseAbs());
  singular_ = singular_ || (unseen && falls);
  return unseen && falls;
}

// Is the system just solved singular? The least shift leaves that to be seen in its pivots, which a null vector v
// leaves at shift |v|^2 / v_k^2: a hundred times the shift allows for a small last component.
void BoxQp::note_rank(Index k) {
  if (shift_ > least_shift_ || shift_ == 0) return;
  for (Index a = 0; a < k; ++a) {
    const double pivot = factor_(a, a) / roots_[at(a)];  // infinite for a column of zeros
    singular_ = singular_ || !(pivot * pivot > 100 * least_shift_ && std::isfinite(pivot));
  }
}

// Another step on the same face: worth it while it takes away half, or with a smaller shift.
bool BoxQp::improve(double kkt, double last) {
  if (kkt <= 0.5 * last) return true;
  if (shift_ <= least_shift_) return false;
  shift_ = std::max(least_shift_, shift_ / 100);
  factored_ = 0;
  return true;
}

// ---------------------------------------------------------------------------------------------------- faces

// Projected Newton steps, then one bound at a time. Reports whether and how it ended.
void BoxQp::settle_faces(const Problem& qp, Vector& x, BoxQpReport& report) {
  const int limit = block_limit_ + systems_per_variable * static_cast<int>(x.size());
  if (shift_ > 0) factored_ = 0;
  shift_ = 0;
  for (Vector* v : {&direction_, &image_, &breaks_}) v->resize(x.size());
  if (remote(qp, x)) {
    for (Index i = 0; i < x.size(); ++i) x[i] = std::clamp(0.0, qp.lower[i], qp.upper[i]);
  }
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
    if (indefinite_ || !direction_.allFinite()) break;
    face_done = kind == Direction::newton && full_step_fits(qp, x);
    if (face_done) {
      x += direction_;
    } else if (!search(qp, kind, x)) {
      report.status = BoxQpStatus::unbounded;
      direction_ /= direction_.cwiseAbs().maxCoeff();
      break;
    }
    const double before = report.kkt;
    report.kkt = measure(qp, x);
    bool wrong = false;
    for (Index i = 0; i < x.size(); ++i) wrong = wrong || wrongly_held(qp, x, i);
    // A whole Newton step that leaves only rounding, and no more of it to gain
    if (face_done && !wrong && report.kkt > 0.5 * before) {
      report.solved = report.kkt <= rounding_level;
      break;
    }
  }
}

// The working set of projected Newton: at a bound, and not pushed inside by more than rounding.
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
    if (wrongly_held(qp, x, i)) {
      active_[i] = 0;
      return;
    }
  }
}

// d_F into direction_, zero elsewhere.
BoxQp::Direction BoxQp::find_direction(const Problem& qp) {
  const Index k = group();
  direction_.setZero();
  if (factored_ < k && !factor_leading(qp, factored_, k)) return singular_direction(qp, k);
  newton_step(k);
  for (Index a = 0; a < k; ++a) direction_[at(a)] = step_[a];
  return Direction::newton;
}

BoxQp::Direction BoxQp::singular_direction(const Problem& qp, Index k) {
  singular_ = true;
  Matrix M(k, k);
  Vector y(k), unit(k);
  double size = 0;
  for (Index a = 0; a < k; ++a) {
    const Index i = at(a);
    unit[a] = roots_[i] > 0 ? 1 / roots_[i] : 1;
    y[a] = -gradient_[i] * unit[a];
    size = std::max(size, scale_[i] * unit[a]);
  }
  for (Index b = 0; b < k; ++b) {
    for (Index a = 0; a < k; ++a) {
      M(a, b) = unit[a] * qp.H(at(a), at(b)) * unit[b];
    }
  }
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(M);
  const Vector& lambda = eigen.eigenvalues();
  indefinite_ = lambda[0] < -least_shift_ * std::max(lambda[k - 1], 1.0);
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
  for (Index a = 0; a < k; ++a) direction_[at(a)] = unit[a] * d[a];
  return ray ? Direction::ray : Direction::newton;
}

bool BoxQp::full_step_fits(const Problem& qp, const Vector& x) const {
  for (Index i = 0; i < x.size(); ++i) {
    const double there = x[i] + direction_[i];
    if (!(there >= qp.lower[i] && there <= qp.upper[i])) return false;
  }
  return true;
}

// t at which each free variable meets the wall ahead of it, and the order in which they do.
void BoxQp::collect_breaks(const Problem& qp, const Vector& x) {
  walls_.clear();
  for (Index i = 0; i < x.size(); ++i) {
    const double d = direction_[i];
    const double wall = d > 0 ? qp.upper[i] : qp.lower[i];
    if (d == 0 || !std::isfinite(wall)) continue;
    breaks_[i] = (wall - x[i]) / d;
    walls_.push_back(i);
  }
  std::sort(walls_.begin(), walls_.end(), [this](Index a, Index b) { return breaks_[a] < breaks_[b]; });
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
    const double wall = next < walls_.size() ? breaks_[walls_[next]] : infinity;
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
    while (next < walls_.size() && breaks_[walls_[next]] <= t) clip(qp, walls_[next++], x);
  }
  for (Index i = 0; i < x.size(); ++i) {
    if (active_[i] == 0) x[i] = std::clamp(x[i] + t * direction_[i], qp.lower[i], qp.upper[i]);
  }
  return true;
}

}  // namespace marquardt
