// Principal pivoting: the minimiser over the face, y_F = (S_F'S_F)^-1 S_F'(z - S_H y_H); then every free variable that
// left its bounds is held there, and every held one with a gradient of the wrong sign becomes free.
//
// Products of columns lose half of the digits. The last face's gradient is measured on S itself, and one step
// (S_F'S_F)^-1 g_F regains them (Bjorck 1987) where S_F is known to be well conditioned; otherwise QR of S_F does.
// References: Judice & Pires (1994), A block principal pivoting algorithm for large-scale strictly monotone linear
// complementarity problems, Computers & Operations Research 21, 587-596; Bjorck (1987), Stability analysis of the
// method of seminormal equations for linear least squares problems, Linear Algebra and its Applications 88/89, 31-48.
#include "marquardt/solve/bounded_linear_blocks.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/accumulator.hpp"
#include "marquardt/linalg/cholesky.hpp"

namespace marquardt::bounded {
namespace {

// Five sweeps find nearly all of the active set where S is well conditioned; where it is not, more find little more.
constexpr int sweeps = 5;

// Usually two to eight faces are needed, and a few in a row without fewer wrong variables than ever before mean that
// the blocks cycle (Judice & Pires wait for ten; exchanges cost less here).
constexpr int most_blocks = 50, block_patience = 4;

// From the right set or nearly so, it is right, or wrong in a few near ties, or hopeless.
constexpr int most_warm_blocks = 4;

// Dependent columns in the first guess are looked for among so many first: enough for products to run at full speed.
constexpr std::size_t fewest_probed = 32;

// A step through T'T, which squares the condition, gains digits where that square is well below 1 / epsilon.
constexpr double correctable = 1e-6;

// What rounding may do to a variable, as a share of the largest.
constexpr double tie = 1e-13;

void put(const Columns& free, const Vector& t, Side& side) {
  for (Index a = 0; a < t.size(); ++a) side.y[free[static_cast<std::size_t>(a)]] = t[a];
}

void solve(const Matrix& L, Vector& t) {
  solve_lower(L, t);
  solve_lower_transposed(L, t);
}

// The minimiser over the face, L the factor of the products of its columns.
bool minimise_by_products(const Rows& rows, const Columns& free, const Matrix& L, Side& side) {
  const Vector c = remainder(rows.S, side);
  Vector t(L.rows());
  for (Index a = 0; a < t.size(); ++a) t[a] = rows.S.col(free[static_cast<std::size_t>(a)]).dot(c);
  solve(L, t);
  if (!t.allFinite()) return false;
  put(free, t, side);
  return true;
}

// The minimiser over the face by QR of its columns. False if these are dependent to rounding.
bool minimise_by_qr(const Rows& rows, const Columns& free, Side& side) {
  const Index p = static_cast<Index>(free.size());
  const Matrix F = gather(rows.S, free);
  const Vector c = remainder(rows.S, side);
  Accumulator face(Form::triangle, p);
  face.add(F, c);
  const Reduced& reduced = face.reduced();
  const double regularity = inverse_condition(reduced.R.transpose());
  if (!(regularity > rows.dependent)) return false;
  const auto T = reduced.R.triangularView<Eigen::Upper>();
  Vector t = T.solve(reduced.z);
  if (regularity > correctable) {  // one corrected seminormal step: what is left after rounding of m rows
    Vector step = F.transpose() * (c - F * t);
    T.transpose().solveInPlace(step);
    T.solveInPlace(step);
    t += step;
  }
  if (!t.allFinite()) return false;
  put(free, t, side);
  return true;
}

// From products to all digits, r and g with them.
bool refine(const Rows& rows, const Columns& free, const Matrix& L, Side& side) {
  if (free.empty()) return true;
  if (!(inverse_condition(L) > regular)) {
    if (!minimise_by_qr(rows, free, side)) return false;
  } else {
    Vector step(L.rows());
    for (Index a = 0; a < step.size(); ++a) step[a] = -side.g[free[static_cast<std::size_t>(a)]];
    solve(L, step);
    for (Index a = 0; a < step.size(); ++a) side.y[free[static_cast<std::size_t>(a)]] += step[a];
  }
  measure(rows.S, side);
  return true;
}

// What rounding left of the gradient of the free variables, which is zero: products leave more than the tolerance.
double noise(const Columns& free, const Side& side) {
  double largest = 0;
  for (const Index j : free) largest = std::max(largest, std::abs(side.g[j]));
  return largest;
}

// The working set after every wrong variable has changed sides; returns how many were wrong.
Index change_sides(Side& side, double least) {
  Index wrong = 0;
  for (Index j = 0; j < side.y.size(); ++j) {
    if (side.active[j] != 0) {
      if (!(side.wrong(j) > least)) continue;
      side.active[j] = 0;
      ++wrong;
    } else if (!(side.y[j] > side.lower[j] && side.y[j] < side.upper[j])) {
      const double there = side.y[j];
      side.hold(j, there <= side.lower[j] ? -1 : 1);
      if (there != side.y[j]) ++wrong;
    }
  }
  return wrong;
}

// Where the residual vanishes, variables whose place is on a bound come out beside it by rounding, on either side. One
// face after the other would hold a few of them; this holds all. False where others have left their bounds as well.
bool hold_ties(Side& side) {
  const double near = tie * side.y.cwiseAbs().maxCoeff();
  const auto room = [&](Index j) { return std::min(side.y[j] - side.lower[j], side.upper[j] - side.y[j]); };
  bool outside = false;
  for (Index j = 0; j < side.y.size(); ++j) {
    if (side.active[j] != 0) continue;
    if (room(j) < -near) return false;
    outside |= room(j) < 0;
  }
  for (Index j = 0; outside && j < side.y.size(); ++j) {
    if (side.active[j] != 0 || room(j) > near) continue;
    side.hold(j, side.y[j] - side.lower[j] <= side.upper[j] - side.y[j] ? -1 : 1);
  }
  return outside;
}

// One face: its minimiser, and the sides changed. How many were wrong; -1: its columns are dependent. `tied`: ties were
// held before; doing so again might go on for ever.
Index settle_face(const Rows& rows, Products& products, bool warm, Matrix& L, Side& side, bool& tied) {
  const Columns free = where(side.active, true);
  if (static_cast<Index>(free.size()) > rows.S.rows()) return -1;
  ++side.iterations;
  side.rank = static_cast<Index>(free.size());
  const bool by_products = products.factor(free, L) && minimise_by_products(rows, free, L, side);
  if (!by_products && !(warm && minimise_by_qr(rows, free, side))) return -1;
  if (!tied && hold_ties(side)) {
    tied = true;
    return side.rank;
  }
  measure(rows.S, side);
  const Index wrong = change_sides(side, std::max(side.tolerance(), noise(free, side)));
  if (wrong > 0 || !by_products) return wrong;
  if (!refine(rows, free, L, side)) return -1;
  return change_sides(side, side.tolerance());
}

}  // namespace

bool Products::factor(const Columns& columns, Matrix& L) {
  admit(columns);
  const Index p = static_cast<Index>(columns.size());
  L.resize(p, p);
  for (Index b = 0; b < p; ++b) {
    for (Index a = b; a < p; ++a) {
      const Index i = at(columns, a), j = at(columns, b);
      L(a, b) = i >= j ? G_(i, j) : G_(j, i);
    }
  }
  // squares of columns are at least 1/4: a pivot of a few roundings of theirs is none
  const Vector least = Vector::Constant(p, static_cast<double>(p) * epsilon);
  return cholesky(L, least.data());
}

bool Products::factor_by_doubling(const Columns& columns, Matrix& L) {
  for (std::size_t k = fewest_probed; k < columns.size(); k *= 2) {
    if (!factor(Columns(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(k)), L)) return false;
  }
  return factor(columns, L);
}

void Products::admit(const Columns& columns) {
  if (place_.empty()) place_.assign(static_cast<std::size_t>(S_.cols()), -1);
  Columns fresh;
  for (const Index j : columns) {
    if (place_[static_cast<std::size_t>(j)] < 0) fresh.push_back(j);
  }
  if (fresh.empty()) return;
  const Index old = F_.cols(), more = static_cast<Index>(fresh.size());
  for (Index a = 0; a < more; ++a) place_[static_cast<std::size_t>(fresh[static_cast<std::size_t>(a)])] = old + a;
  F_.conservativeResize(S_.rows(), old + more);
  F_.rightCols(more) = gather(S_, fresh);
  G_.conservativeResize(old + more, old + more);
  G_.bottomLeftCorner(more, old).noalias() = F_.rightCols(more).transpose() * F_.leftCols(old);
  auto corner = G_.bottomRightCorner(more, more);
  corner.setZero();
  corner.selfadjointView<Eigen::Lower>().rankUpdate(F_.rightCols(more).transpose());
}

void sweep(const Rows& rows, Side& side) {
  side.r = side.z;
  if ((side.y.array() != 0).any()) side.r.noalias() -= rows.S * side.y;
  for (int round = 0; round < sweeps; ++round) {
    bool moved = false;
    for (Index j = 0; j < side.y.size(); ++j) {
      if (rows.squares[j] == 0 || side.lower[j] == side.upper[j]) continue;
      const double slope = rows.S.col(j).dot(side.r) / rows.squares[j];
      const double there = std::clamp(side.y[j] + slope, side.lower[j], side.upper[j]), move = there - side.y[j];
      if (move == 0) continue;
      moved = true;
      side.y[j] = there;
      side.r -= move * rows.S.col(j);
    }
    if (!moved) break;
  }
  side.put_on_bounds();
}

Blocks settle_blocks(const Rows& rows, Products& products, bool warm, Side& side) {
  const int most = warm ? most_warm_blocks : most_blocks;
  const Vector start = side.y;
  Matrix L;
  if (!warm) {
    const Columns free = where(side.active, true);
    if (static_cast<Index>(free.size()) > rows.S.rows()) return Blocks::dependent;
    if (!products.factor_by_doubling(free, L)) return Blocks::dependent;
    if (!(inverse_condition(L) > regular)) return Blocks::failed;
  }
  bool tied = false;
  Index fewest = side.y.size() + 1;
  for (int block = 0, patience = block_patience; block < most; ++block) {
    const Index wrong = settle_face(rows, products, warm, L, side, tied);
    if (wrong == 0) return Blocks::settled;
    if (wrong < 0) break;
    if (wrong < fewest) {
      fewest = wrong;
      patience = block_patience;
    } else if (--patience < 0) {
      break;
    }
  }
  side.y = start;
  side.put_on_bounds();
  return Blocks::failed;
}

}  // namespace marquardt::bounded
