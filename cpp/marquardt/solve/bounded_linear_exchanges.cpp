// Q T = S_F; the minimiser over the face is T^-1 w, w = Q'c, c = z - S_H y_H, and leaves the residual r = c - Q w.
//
//   enter   S_j = Q h + rho q by Gram-Schmidt, repeated until q is orthogonal to Q to rounding (twice is enough)
//   leave   rotations of neighbouring columns of Q and rows of T undo the step that the column leaves behind
//   prices  g_j = -S_j'r. Most of the time only of a few candidates, those that were most wrong when all were asked:
//           a pass over S costs more than everything else together.
//
// A face that no longer lets the residual fall beyond rounding has its last variable barred until one does, so that no
// face comes twice. A column that depends to rounding on free ones never joins them: its variable rests where it is,
// and its gradient is zero with theirs.
// References: Lawson & Hanson (1974), chapter 23; Stark & Parker (1995); Daniel, Gragg, Kaufman & Stewart (1976),
// Reorthogonalization and stable algorithms for updating the Gram-Schmidt QR factorization, Mathematics of Computation
// 30, 772-795.
#include "marquardt/solve/bounded_linear_exchanges.hpp"

#include <Eigen/Jacobi>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

namespace marquardt::bounded {
namespace {

// A pass that leaves this much of a column's length left it orthogonal to the basis to rounding (Daniel et al.).
constexpr double enough_left = 0.7;

// A pass takes away at least 30 % as long as it does not settle; what is down to the dependent level is refused.
constexpr int most_passes = 4;

// One variable in so many is a candidate, but at least so many: then asking them costs as much as the rest of an
// exchange.
constexpr Index candidate_share = 8, fewest_candidates = 16;

// All are asked again once no candidate is pushed a tenth as hard as the hardest was: nearly dependent columns would
// come and go for next to nothing.
constexpr double keen = 0.1;

// Of the tolerance: where columns are nearly dependent, the residual still falls visibly along gradients that small,
// and exchanges that gain nothing end by themselves.
constexpr double fine = 0.25;

}  // namespace

// ---------------------------------------------------------------------------------------------------- basis

Basis::Basis(const Matrix& S, double dependent) : S_(S), dependent_(dependent) {
  const Index most = std::min(S.rows(), S.cols());
  Q_.resize(S.rows(), most);
  T_.resize(most, most);
  h_.resize(most);
  columns_.reserve(static_cast<std::size_t>(most));
}

bool Basis::enter(Index j) {
  const Index p = rank();
  if (p == Q_.cols()) return false;
  auto q = Q_.col(p);
  auto h = T_.col(p).head(p);
  q = S_.col(j);
  const double least = dependent_ * q.norm();
  double before = q.norm(), left = before;
  h.setZero();
  for (int pass = 0; p > 0 && pass < most_passes; ++pass) {
    h_.head(p).noalias() = Q().transpose() * q;
    q.noalias() -= Q() * h_.head(p);
    h += h_.head(p);
    left = q.norm();
    if (!(left > least) || left > enough_left * before) break;
    before = left;
  }
  if (!(left > least)) return false;
  q /= left;
  T_(p, p) = left;
  columns_.push_back(j);
  return true;
}

void Basis::leave(Index position, double value, Vector& w) {
  const Index last = rank() - 1;
  Vector gone = T_.col(position).head(last + 1);
  gone.tail(last - position).setZero();
  columns_.erase(columns_.begin() + position);
  for (Index k = position; k < last; ++k) {  // T's column k + 1 moves to k, its entry k + 1 into entry k
    Eigen::JacobiRotation<double> rotation;
    double length;
    rotation.makeGivens(T_(k, k + 1), T_(k + 1, k + 1), &length);
    for (Index q = k + 1; q <= last; ++q) {
      const double up = T_(k, q), down = T_(k + 1, q);
      T_(k, q) = rotation.c() * up - rotation.s() * down;
      T_(k + 1, q) = rotation.s() * up + rotation.c() * down;
    }
    T_(k, k + 1) = length;
    for (Vector* v : {&w, &gone}) v->applyOnTheLeft(k, k + 1, rotation.adjoint());
    Q_.applyOnTheRight(k, k + 1, rotation);
    T_.col(k).head(k + 1) = T_.col(k + 1).head(k + 1);
  }
  w.head(last) -= value * gone.head(last);
}

// ------------------------------------------------------------------------------------------------ exchanges

Exchanges::Exchanges(const Rows& rows, Side& side)
    : S_(rows.S), side_(side), basis_(rows.S, rows.dependent), tolerance_(fine * side.tolerance()) {
  const Index n = S_.cols(), most = std::min(S_.rows(), n);
  side_.parked.setZero();
  for (Index j = 0; j < n; ++j) {
    if (side_.active[j] == 0 && !basis_.enter(j)) side_.parked[j] = 1;
  }
  c_ = remainder(S_, side_);
  w_.resize(most);
  t_.resize(most);
  w_.head(basis_.rank()).noalias() = basis_.Q().transpose() * c_;
  barred_.setZero(n);
}

bool Exchanges::run(int limit) {
  double best = infinity;  // squared residual of the best face
  for (;;) {
    while (!minimise_face()) {
      if (limit-- <= 0) return false;
    }
    side_.r = c_;
    side_.r.noalias() -= basis_.Q() * w_.head(basis_.rank());
    const double residual = side_.r.squaredNorm();
    if (residual < best * (1 - 4 * epsilon)) {
      best = residual;
      barred_.setZero();
    }
    for (;;) {
      const Index j = most_wrong();
      if (j < 0) return true;
      barred_[j] = 1;
      if (limit-- <= 0) return false;
      if (enter(j)) break;
    }
    ++side_.iterations;
  }
}

bool Exchanges::enter(Index j) {
  if (!basis_.enter(j)) return false;
  const Index p = basis_.rank() - 1;
  const double y = side_.y[j];
  if (y != 0) {
    c_ += y * S_.col(j);
    w_.head(p + 1).noalias() = basis_.Q().transpose() * c_;
  } else {
    w_[p] = basis_.Q().col(p).dot(c_);
  }
  side_.active[j] = side_.parked[j] = 0;
  return true;
}

// Towards the minimiser over the face. True if it was reached; otherwise a variable met its wall and is held.
bool Exchanges::minimise_face() {
  const Index p = basis_.rank();
  auto t = t_.head(p);
  t = w_.head(p);
  basis_.T().solveInPlace(t);
  double reach = 1;
  Index first = -1;
  for (Index q = 0; q < p; ++q) {
    const Index j = basis_.variable(q);
    if (t[q] >= side_.lower[j] && t[q] <= side_.upper[j]) continue;
    const double wall = t[q] < side_.lower[j] ? side_.lower[j] : side_.upper[j];
    const double fraction = std::max(0.0, (wall - side_.y[j]) / (t[q] - side_.y[j]));
    if (first < 0 || fraction < reach) {
      reach = std::min(fraction, 1.0);
      first = q;
    }
  }
  if (first < 0) {
    for (Index q = 0; q < p; ++q) side_.y[basis_.variable(q)] = t[q];
    return true;
  }
  for (Index q = 0; q < p; ++q) {
    const Index j = basis_.variable(q);
    side_.y[j] = std::clamp(side_.y[j] + reach * (t[q] - side_.y[j]), side_.lower[j], side_.upper[j]);
  }
  const Index out = basis_.variable(first);
  side_.hold(out, t[first] < side_.lower[out] ? -1 : 1);
  if (side_.y[out] != 0) c_ -= side_.y[out] * S_.col(out);
  basis_.leave(first, side_.y[out], w_);
  ++side_.iterations;
  return false;
}

// Of the held variables that the gradient pushes inside beyond rounding, the one pushed hardest; -1 if there is none.
Index Exchanges::most_wrong() {
  const Index j = worst_candidate();
  return j < 0 ? worst_of_all() : j;
}

Index Exchanges::worst_candidate() {
  Index worst = -1;
  double most = std::max(tolerance_, keen * keenest_);
  for (const Index j : candidates_) {
    if (!eligible(j)) continue;
    side_.g[j] = -S_.col(j).dot(side_.r);
    if (side_.wrong(j) > most) {
      most = side_.wrong(j);
      worst = j;
    }
  }
  return worst;
}

Index Exchanges::worst_of_all() {
  side_.g.noalias() = -(S_.transpose() * side_.r);
  candidates_.clear();
  for (Index j = 0; j < S_.cols(); ++j) {
    if (eligible(j) && side_.wrong(j) > tolerance_) candidates_.push_back(j);
  }
  if (candidates_.empty()) return -1;
  const auto share = static_cast<std::size_t>(std::max(fewest_candidates, S_.cols() / candidate_share));
  const auto harder = [this](Index a, Index b) { return side_.wrong(a) > side_.wrong(b); };
  const auto kept = std::min(share, candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept), candidates_.end(),
                    harder);
  candidates_.resize(kept);
  keenest_ = side_.wrong(candidates_.front());
  return candidates_.front();
}

// One Newton step on the face by the gradient measured afresh; kept if that is smaller then.
bool Exchanges::refine() {
  measure(S_, side_);
  const Index p = basis_.rank();
  if (p == 0) return true;
  const Vector step = basis_.Q().transpose() * side_.r, there = side_.y;
  Vector t = step;
  basis_.T().solveInPlace(t);
  bool inside = true;
  for (Index q = 0; q < p; ++q) {
    const Index j = basis_.variable(q);
    t[q] += there[j];
    inside = inside && t[q] >= side_.lower[j] && t[q] <= side_.upper[j];
  }
  if (!inside) {
    c_ = remainder(S_, side_);
    for (Index q = 0; q < p; ++q) t[q] = there[basis_.variable(q)];
    w_.head(p) = basis_.T() * t + step;
    return false;
  }
  const double before = side_.worst();
  for (Index q = 0; q < p; ++q) side_.y[basis_.variable(q)] = t[q];
  measure(S_, side_);
  if (side_.worst() <= before) return true;
  side_.y = there;
  measure(S_, side_);
  return true;
}

// x_E - N t of least norm, E the free and the parked, N = [-T^-1 Q'S_P; I] their null space in the units of x.
void Exchanges::shorten(const Vector& units) {
  const Columns rest = where(side_.parked, false);
  const Index p = basis_.rank(), q = static_cast<Index>(rest.size());
  if (q == 0) return;
  const double largest = 1 / units.minCoeff();
  Matrix N = Matrix::Zero(p + q, q);
  N.topRows(p).noalias() = -basis_.Q().transpose() * gather(S_, rest);
  basis_.T().solveInPlace(N.topRows(p));
  N.bottomRows(q).setIdentity();
  Vector y(p + q), scale(p + q);
  Columns all = basis_.columns();
  all.insert(all.end(), rest.begin(), rest.end());
  for (Index a = 0; a < p + q; ++a) {
    const Index j = all[static_cast<std::size_t>(a)];
    y[a] = side_.y[j];
    scale[a] = 1 / units[j] / largest;
  }
  const Vector shorter =
      y - N * Eigen::ColPivHouseholderQR<Matrix>(scale.asDiagonal() * N).solve(scale.cwiseProduct(y));
  bool inside = shorter.allFinite();
  for (Index a = 0; a < p + q && inside; ++a) {
    const Index j = all[static_cast<std::size_t>(a)];
    inside = shorter[a] > side_.lower[j] && shorter[a] < side_.upper[j];
  }
  if (!inside) return;
  for (Index a = 0; a < p + q; ++a) side_.y[all[static_cast<std::size_t>(a)]] = shorter[a];
}

}  // namespace marquardt::bounded
