// min 1/2 ||A x - b||^2, lower <= x <= upper, column by column of b.
//
//   units      S = A D^-1 / columns of length 1/2 to 1, y = D x / beta, z = b / beta: powers of two, so exact
//   gradient   g = S'(S y - z): 0 (free), >= 0 (at the lower bound), <= 0 (at the upper bound)
//   face       the bounds held; its minimiser y_F = T^-1 Q'(z - S_H y_H), Q T = S_F
//
//   sweeps     one variable after the other to its own minimiser: a guess of the active set for O(m n)
//   blocks     all variables found wrong change sides together, each face by Cholesky of S_F'S_F: nearly always enough
//              where S is well conditioned, and the cheapest where it is not small
//   exchanges  otherwise one variable at a time, on Q and T themselves
//
// At the end variables parked because their columns depend on free ones move to the shortest x of the same residual if
// that lies in the box.
// References: Lawson & Hanson (1974), chapter 23; Stark & Parker (1995); Judice & Pires (1994), A block principal
// pivoting algorithm for large-scale strictly monotone linear complementarity problems, Computers & Operations Research
// 21, 587-596.
#include "marquardt/solve/bounded_linear.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "marquardt/linalg/fold.hpp"
#include "marquardt/solve/bounded_linear_blocks.hpp"
#include "marquardt/solve/bounded_linear_exchanges.hpp"

namespace marquardt {
namespace bounded {
namespace {

// First-order conditions that rounding, rather than the tolerance, keeps from holding better: still a solution.
constexpr double rounding_level = 1e-12;

// Up to so many entries exchanges from where the sweeps ended cost less than products, blocks and what comes with them.
constexpr Index small = 1000;

// Products of columns this regular still prove that the columns are independent: the square of this is above any
// rounding of theirs.
constexpr double visible = 1e-6;

// Rounding makes a variable that nearly depends on others meet its wall once, rarely twice, after all seemed done.
constexpr int most_rounds = 3;

// Are the columns that may move without changing the first-order conditions independent?
// Their products prove it at a fraction of the price of a basis, unless rounding is in doubt.
bool proven_unique(const Rows& rows, Products& products, const Side& side) {
  if (side.deficient) return false;
  const double least = side.tolerance();
  Columns loose = where(side.active, true);
  const std::size_t free = loose.size();
  for (Index j = 0; j < side.y.size(); ++j) {
    if (side.active[j] == 0 || std::abs(side.g[j]) > least || side.lower[j] == side.upper[j]) continue;
    if (rows.squares[j] == 0) return false;
    loose.push_back(j);
  }
  if (loose.size() == free) return true;
  if (static_cast<Index>(loose.size()) > rows.S.rows()) return false;
  Matrix L;
  if (side.regular && products.factor_by_doubling(loose, L) && inverse_condition(L) > visible) return true;
  Basis basis(rows.S, rows.dependent);
  for (const Index j : loose) {
    if (!basis.enter(j)) return false;
  }
  return true;
}

// From where side is, or `afresh` from the point of the box next to the origin: a guess whose free columns depend on
// each other is far from any solution with few of them free. False if it is such a guess.
bool settle_exchanges(const Rows& rows, bool afresh, int max_exchanges, Side& side, bool& finished) {
  if (afresh) {
    side.y.setZero();
    side.put_on_bounds();
  }
  Exchanges exchanges(rows, side);
  if (!afresh && !exchanges.usable()) return false;
  ++side.iterations;
  finished = exchanges.run(max_exchanges);
  for (int round = 0; finished && !exchanges.refine() && round < most_rounds; ++round) {
    finished = exchanges.run(max_exchanges);
  }
  side.rank = exchanges.basis().rank();
  side.deficient = !exchanges.usable();
  if (!finished) {
    measure(rows.S, side);
    return true;
  }
  if (side.deficient) {
    const Vector there = side.y;
    const double before = side.worst();
    exchanges.shorten(rows.units);
    measure(rows.S, side);
    if (!(side.worst() <= std::max(before, side.tolerance()))) {
      side.y = there;
      measure(rows.S, side);
    }
  }
  return true;
}

BoundedStatus solve_side(const Rows& rows, Products& products, bool warm, int max_exchanges, Side& side) {
  side.put_on_bounds();
  bool settled = warm && settle_blocks(rows, products, true, side) == Blocks::settled, finished = true;
  side.regular = settled;
  if (!settled) {
    side.put_on_bounds();
    sweep(rows, side);
    Blocks blocks = Blocks::failed;
    if (rows.S.size() > small) blocks = settle_blocks(rows, products, false, side);
    side.regular = blocks == Blocks::settled;
    settled =
        side.regular || (blocks == Blocks::failed && settle_exchanges(rows, false, max_exchanges, side, finished));
  }
  if (!settled) settle_exchanges(rows, true, max_exchanges, side, finished);
  const double level = std::max(rounding_level * side.size(), side.tolerance());
  if (!side.y.allFinite() || !side.g.allFinite()) return BoundedStatus::stalled;
  if (!(side.worst() <= level)) return finished ? BoundedStatus::stalled : BoundedStatus::limit;
  return (side.active.array() == 0).all() ? BoundedStatus::unconstrained : BoundedStatus::solved;
}

// Back to the units of the data; bounds to the last bit.
void report(const Rows& rows, const VectorView& lower, const VectorView& upper, Index k, const Side& side,
            BoundedFit& fit) {
  double worst = 0, absolute = 0;
  for (Index j = 0; j < side.y.size(); ++j) {
    const double unit = rows.units[j], y = side.y[j];
    const bool down = y <= side.lower[j], up = y >= side.upper[j];
    fit.x(j, k) = down ? lower[j] : up ? upper[j] : std::clamp(y * (side.beta / unit), lower[j], upper[j]);
    fit.gradient(j, k) = side.beta * side.g[j] * unit;
    fit.active(j, k) = down && up ? (side.g[j] < 0 ? 1 : -1) : static_cast<int>(up) - static_cast<int>(down);
    const double wrong = side.wrong(j);
    worst = std::max(worst, wrong);
    absolute = std::max(absolute, side.beta * wrong * unit);
  }
  const double size = side.size();
  fit.kkt[k] = worst == 0 ? 0 : worst / size;
  fit.optimality[k] = absolute;
  fit.iterations[k] = side.iterations;
  fit.ranks[k] = static_cast<int>(side.rank);
}

}  // namespace
}  // namespace bounded

BoundedFit solve_bounded(Matrix A, Matrix B, const VectorView& lower, const VectorView& upper, const MatrixView& start,
                         int max_exchanges) {
  const Index n = A.cols(), sides = B.cols();
  assert(A.rows() == B.rows() && lower.size() == n && upper.size() == n);
  assert(start.cols() == 0 || (start.rows() == n && (start.cols() == 1 || start.cols() == sides)));
  BoundedFit fit;
  fit.x.resize(n, sides);
  fit.gradient.resize(n, sides);
  fit.active.resize(n, sides);
  fit.kkt.resize(sides);
  fit.optimality.resize(sides);
  fit.iterations.resize(sides);
  fit.ranks.resize(sides);
  const bounded::Rows rows(std::move(A), std::move(B));
  bounded::Products products(rows.S);
  for (Index k = 0; k < sides; ++k) {
    bounded::Side side(rows, k, lower, upper);
    const bool warm = start.cols() > 0;
    if (warm) side.y = start.col(start.cols() == 1 ? 0 : k).cwiseProduct(rows.units) / side.beta;
    fit.status.push_back(bounded::solve_side(rows, products, warm, max_exchanges, side));
    fit.unique.push_back(bounded::proven_unique(rows, products, side));
    bounded::report(rows, lower, upper, k, side, fit);
  }
  return fit;
}

void fold_rows(const MatrixView& J, const MatrixView& B, Matrix& R, Matrix& Z) {
  const Index n = J.cols(), kept = std::min(R.rows() + J.rows(), n);
  assert(R.cols() == n && J.rows() == B.rows() && Z.cols() == B.cols() && Z.rows() == R.rows());
  TallFactor rows;
  rows.begin(R, Z);
  rows.add(strided(J), Vector(), strided(B), 1);
  R = rows.R().topRows(kept);
  Z = rows.Z().topRows(kept);
}

}  // namespace marquardt
