// min 1/2 ||A x - b||^2, lower <= x <= upper, column by column of b.
//
//   units      S = A D^-1 / columns of length 1/2 to 1, y = D x / beta, z = b / beta: powers of two, so exact
//   gradient   g = S'(S y - z): 0 (free), >= 0 (at the lower bound), <= 0 (at the upper bound)
//   face       the bounds held; its minimiser y_F = T^-1 Q'(z - S_H y_H), Q T = S_F
//
//   sweeps     one variable after the other to its own minimiser: a guess of the active set for O(m n)
//   blocks     all variables found wrong change sides together (principal pivoting; Judice & Pires 1994), each face by
//              Cholesky of S_F'S_F, which lost half of the digits; the last one or few by QR of S_F itself. Products of
//              columns are formed only for variables that were ever free. Nearly always enough.
//   exchanges  otherwise one variable at a time, on a factor of the free columns that is up- and downdated by
//              orthogonal transformations of S. The residual falls strictly from face to face, so none
//              comes twice; a face that no longer lets it fall beyond rounding has its last variable barred until one
//              does.
//
// A column that depends to rounding on free ones never joins them: its variable rests where it is, and its gradient is
// zero with theirs. At the end such variables move to the shortest x of the same residual if that lies in the box.
// References: Lawson & Hanson (1974), chapter 23; Stark & Parker (1995); Judice & Pires (1994), A block principal
// pivoting algorithm for large-scale strictly monotone linear complementarity problems, Computers & Operations Research
// 21, 587-596; Golub & Van Loan, Matrix Computations, 4th ed., 6.5.2.
#include "marquardt/solve/bounded_linear.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "marquardt/linalg/accumulator.hpp"
#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

using Columns = std::vector<Index>;

// Five sweeps find nearly all of the active set where A is well conditioned; where it is not, more find little more.
constexpr int sweeps = 5;

// Faces by Cholesky: usually two to eight are needed, and a few in a row without fewer wrong variables than ever before
// mean that the blocks cycle (Judice & Pires wait for ten; exchanges cost less here). Faces by QR: the set is right, or
// wrong in a few near ties, or hopeless.
constexpr int most_blocks = 50, block_patience = 4, most_fresh_blocks = 4;

// First-order conditions that rounding, rather than the tolerance, keeps from holding better: still a solution.
constexpr double rounding_level = 1e-12;

// From so many right-hand sides on, the triangle of A costs less than a QR of tall free columns for each of them.
constexpr Index many_sides = 3;

// From so many rows per column on, it costs less than a few passes over all rows.
constexpr Index tall = 16;

// A step through T'T, which squares the condition, gains digits where that square is well below 1 / epsilon.
constexpr double correctable = 1e-6;

// Scaled bounds stay below this in size: no square of theirs overflows.
constexpr double farthest = 1e140;

Columns where(const Eigen::VectorXi& active, bool free) {
  Columns found;
  for (Index j = 0; j < active.size(); ++j) {
    if ((active[j] == 0) == free) found.push_back(j);
  }
  return found;
}

Matrix gather(const Matrix& S, const Columns& columns) {
  Matrix F(S.rows(), static_cast<Index>(columns.size()));
  for (Index a = 0; a < F.cols(); ++a) F.col(a) = S.col(columns[static_cast<std::size_t>(a)]);
  return F;
}

// Smallest singular value of the triangle T over that of its longest column, to a factor of a few: two solves, the
// first with the right-hand side +-1 that makes the solution grow (LINPACK; Cline, Moler, Stewart & Wilkinson 1979).
double inverse_condition(const Matrix& T) {
  const Index p = T.rows();
  if (p == 0) return 1;
  double longest = 0;
  for (Index j = 0; j < p; ++j) {
    if (T(j, j) == 0) return 0;
    longest = std::max(longest, T.col(j).head(j + 1).norm());
  }
  Vector u(p);
  for (Index i = 0; i < p; ++i) {
    const double s = T.col(i).head(i).dot(u.head(i));
    u[i] = ((s > 0 ? -1 : 1) - s) / T(i, i);
  }
  const double first = u.norm();
  T.triangularView<Eigen::Upper>().solveInPlace(u);
  const double second = u.norm();
  return std::isfinite(second) ? first / second / longest : 0;
}

// ---------------------------------------------------------------------------------------- one problem in its units

// The rows of S and b, or of their triangle, shared by all right-hand sides.
struct Rows {
  Rows(Matrix A, Matrix b) : S(std::move(A)), B(std::move(b)), units(S.cols()) {
    for (Index j = 0; j < S.cols(); ++j) {
      const double scale = normaliser(safe_norm(S.col(j)), 1000);
      S.col(j) *= scale;
      units[j] = 1 / scale;
    }
    squares = S.colwise().squaredNorm();
    dependent = 10 * static_cast<double>(std::max(S.rows(), S.cols())) * epsilon;
    if (B.cols() >= many_sides || S.rows() >= tall * S.cols()) triangularise();
  }

  // From here on at most n rows. Nothing is lost but the part of b that no column reaches.
  void triangularise() {
    const Index n = S.cols();
    if (n == 0 || S.rows() <= n) return;
    if (B.cols() == 1) {
      Accumulator all(Form::triangle, n);
      all.add(S, B.col(0));
      S = all.reduced().R;
      B = all.reduced().z;
      return;
    }
    Eigen::HouseholderQR<Eigen::Ref<Matrix>> qr(S);  // in place
    B.applyOnTheLeft(qr.householderQ().adjoint());
    S = Matrix(S.topRows(n).triangularView<Eigen::Upper>());
    B = Matrix(B.topRows(n));
  }

  Matrix S, B;
  Vector units;      // D
  Vector squares;    // of the lengths of S's columns
  double dependent;  // a column's part outside of others, relative to its length, that counts as none
};

// One right-hand side in those units.
struct Side {
  Vector z, lower, upper, y, g;
  Eigen::VectorXi active;  // the working set
  Eigen::VectorXi parked;  // 1: held although inside its bounds, its column depends on free ones
  double beta = 1, norm_z = 0;
  int iterations = 0;
  Index rank = 0;
  bool unique = true, deficient = false;

  double size() const { return norm_z + y.cwiseAbs().sum(); }  // of the terms of g: columns are at most 1 long
  double wrong(Index j) const;                                 // |g_j| if it breaks the conditions
};

double Side::wrong(Index j) const {
  if (lower[j] == upper[j]) return 0;
  if (y[j] == lower[j] && g[j] >= 0) return 0;
  if (y[j] == upper[j] && g[j] <= 0) return 0;
  return std::abs(g[j]);
}

double nearest_to_zero(double lower, double upper) { return std::clamp(0.0, lower, upper); }

// beta: b, or how far from the origin the box keeps A x, whichever is larger.
Side make_side(const Rows& rows, Index k, const VectorView& lower, const VectorView& upper) {
  const Index n = rows.S.cols();
  Side side;
  side.z = rows.B.col(k);
  double size = safe_norm(side.z);
  for (Index j = 0; j < n; ++j) size = std::max(size, std::abs(nearest_to_zero(lower[j], upper[j])) * rows.units[j]);
  side.beta = std::isfinite(size) ? 1 / normaliser(size, 1000) : 1;
  side.z /= side.beta;
  side.norm_z = side.z.norm();
  side.lower.resize(n);
  side.upper.resize(n);
  for (Index j = 0; j < n; ++j) {
    const double scale = rows.units[j] / side.beta;
    const auto scaled = [scale](double bound) {
      return std::isfinite(bound) && bound != 0 ? std::clamp(bound * scale, -farthest, farthest) : bound;
    };
    side.lower[j] = scaled(lower[j]);
    side.upper[j] = scaled(upper[j]);
  }
  side.y.setZero(n);
  side.g.setZero(n);
  side.active.setZero(n);
  side.parked.setZero(n);
  return side;
}

// z - S_H y_H: what is left for the free columns.
Vector remainder(const Matrix& S, const Side& side) {
  Vector c = side.z;
  for (Index j = 0; j < S.cols(); ++j) {
    if (side.active[j] != 0 || side.parked[j] != 0) {
      if (side.y[j] != 0) c -= side.y[j] * S.col(j);
    }
  }
  return c;
}

// The gradient afresh; of few variables that are not zero, by their columns.
void measure(const Matrix& S, Side& side) {
  Vector r = side.z;
  if (3 * (side.y.array() != 0).count() > S.cols()) {
    r.noalias() -= S * side.y;
  } else {
    for (Index j = 0; j < S.cols(); ++j) {
      if (side.y[j] != 0) r -= side.y[j] * S.col(j);
    }
  }
  side.g.noalias() = -(S.transpose() * r);
}

// What rounding leaves of a gradient that is zero: columns are at most 1 long, and errors of many rows rarely add up.
// A larger one would let nearly dependent columns wait outside although their place is inside.
double tolerance(const Side& side) { return 8 * epsilon * side.size(); }

void hold(Side& side, Index j, int where_to) {
  side.active[j] = where_to;
  side.y[j] = where_to < 0 ? side.lower[j] : side.upper[j];
}

void put_on_bounds(Side& side) {
  for (Index j = 0; j < side.y.size(); ++j) {
    const double y = std::isfinite(side.y[j]) ? side.y[j] : 0;
    side.y[j] = std::clamp(y, side.lower[j], side.upper[j]);
    side.active[j] = side.y[j] <= side.lower[j] ? -1 : side.y[j] >= side.upper[j] ? 1 : 0;
  }
}

// --------------------------------------------------------------------------------------------------- blocks

// The minimiser over the face, by QR of its columns. False if these are dependent to rounding, or too many.
bool solve_face(const Rows& rows, Side& side) {
  const Columns free = where(side.active, true);
  const Index p = static_cast<Index>(free.size());
  ++side.iterations;
  side.rank = p;
  if (p == 0) return true;
  if (p > rows.S.rows()) return false;
  const Matrix F = gather(rows.S, free);
  const Vector c = remainder(rows.S, side);
  Accumulator face(Form::triangle, p);
  face.add(F, c);
  const Reduced& reduced = face.reduced();
  const double regularity = inverse_condition(reduced.R);
  if (!(regularity > rows.dependent)) return false;
  const auto T = reduced.R.triangularView<Eigen::Upper>();
  Vector t = T.solve(reduced.z);
  if (regularity > correctable) {  // one corrected seminormal step: what is left after rounding of m rows
    Vector step = F.transpose() * (c - F * t);
    T.transpose().solveInPlace(step);
    T.solveInPlace(step);
    t += step;
  }
  for (Index a = 0; a < p; ++a) side.y[free[static_cast<std::size_t>(a)]] = t[a];
  return t.allFinite();
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
      hold(side, j, there <= side.lower[j] ? -1 : 1);
      if (there != side.y[j]) ++wrong;
    }
  }
  return wrong;
}

// Faces by QR until none is wrong, a few times. False if that is not enough.
bool settle_fresh(const Rows& rows, Side& side) {
  for (int block = 0; block < most_fresh_blocks && solve_face(rows, side); ++block) {
    measure(rows.S, side);
    if (change_sides(side, tolerance(side)) == 0) return true;
  }
  return false;
}

// Products of the columns that were ever free.
class Products {
 public:
  explicit Products(const Matrix& S) : S_(S), place_(static_cast<std::size_t>(S.cols()), -1) {}

  Matrix among(const Columns& free) {
    admit(free);
    const Index p = static_cast<Index>(free.size());
    Matrix G(p, p);
    for (Index b = 0; b < p; ++b) {
      for (Index a = 0; a < p; ++a) G(a, b) = G_(at(free, a), at(free, b));
    }
    return G;
  }

 private:
  Index at(const Columns& free, Index a) const {
    return place_[static_cast<std::size_t>(free[static_cast<std::size_t>(a)])];
  }

  void admit(const Columns& free) {
    Columns fresh;
    for (const Index j : free) {
      if (place_[static_cast<std::size_t>(j)] < 0) fresh.push_back(j);
    }
    if (fresh.empty()) return;
    const Index old = F_.cols(), more = static_cast<Index>(fresh.size());
    for (Index a = 0; a < more; ++a) place_[static_cast<std::size_t>(fresh[static_cast<std::size_t>(a)])] = old + a;
    F_.conservativeResize(S_.rows(), old + more);
    F_.rightCols(more) = gather(S_, fresh);
    G_.conservativeResize(old + more, old + more);
    G_.topRightCorner(old, more).noalias() = F_.leftCols(old).transpose() * F_.rightCols(more);
    G_.bottomLeftCorner(more, old) = G_.topRightCorner(old, more).transpose();
    auto corner = G_.bottomRightCorner(more, more);
    corner.setZero();
    corner.selfadjointView<Eigen::Lower>().rankUpdate(F_.rightCols(more).transpose());
    corner.triangularView<Eigen::StrictlyUpper>() = corner.transpose().eval();
  }

  const Matrix& S_;
  Matrix F_, G_;
  Columns place_;  // of each variable in F_; -1: never free
};

// Each variable in turn to its own minimiser, within its bounds.
void sweep(const Rows& rows, Side& side) {
  Vector r = side.z;
  if ((side.y.array() != 0).any()) r.noalias() -= rows.S * side.y;
  for (int round = 0; round < sweeps; ++round) {
    bool moved = false;
    for (Index j = 0; j < side.y.size(); ++j) {
      if (rows.squares[j] == 0 || side.lower[j] == side.upper[j]) continue;
      const double slope = rows.S.col(j).dot(r) / rows.squares[j];
      const double there = std::clamp(side.y[j] + slope, side.lower[j], side.upper[j]), move = there - side.y[j];
      if (move == 0) continue;
      moved = true;
      side.y[j] = there;
      r -= move * rows.S.col(j);
    }
    if (!moved) break;
  }
  put_on_bounds(side);
}

// Blocks on the products of columns. False if they do not settle.
bool guess(const Rows& rows, Products& products, Side& side) {
  Index fewest = side.y.size() + 1;
  for (int block = 0, patience = block_patience; block < most_blocks; ++block) {
    const Columns free = where(side.active, true);
    if (static_cast<Index>(free.size()) > rows.S.rows()) return false;
    ++side.iterations;
    if (!free.empty()) {
      const Eigen::LLT<Matrix> llt(products.among(free));
      const Vector c = remainder(rows.S, side);
      Vector t(static_cast<Index>(free.size()));
      for (Index a = 0; a < t.size(); ++a) t[a] = rows.S.col(free[static_cast<std::size_t>(a)]).dot(c);
      llt.solveInPlace(t);
      if (llt.info() != Eigen::Success || !t.allFinite()) return false;
      for (Index a = 0; a < t.size(); ++a) side.y[free[static_cast<std::size_t>(a)]] = t[a];
    }
    measure(rows.S, side);
    const Index wrong = change_sides(side, tolerance(side));
    if (wrong == 0) return true;
    if (wrong < fewest) {
      fewest = wrong;
      patience = block_patience;
    } else if (--patience < 0) {
      return false;
    }
  }
  return false;
}

// ------------------------------------------------------------------------------------------------ exchanges

// Q'[S z] with the free columns triangular, in the order of `free`.
class Exchanges {
 public:
  Exchanges(const Rows& rows, Side& side) : side_(side), W_(rows.S), w_(side.z), dependent_(rows.dependent) {
    tolerance_ = tolerance(side);
    side_.parked.setZero();
    for (const Index j : where(side_.active, true)) {
      if (!enter(j)) side_.parked[j] = 1;
    }
    barred_.setZero(W_.cols());
  }

  // False if the limit was reached first; the point is the best so far either way.
  bool run(int limit) {
    double best = infinity;  // squared residual of the best face
    for (;;) {
      while (!minimise_face()) {
        if (limit-- <= 0) return false;
      }
      const double residual = tail_.squaredNorm();
      if (residual < best * (1 - 4 * epsilon)) {
        best = residual;
        barred_.setZero();
      }
      for (;;) {
        const Index j = most_wrong();
        if (j < 0) return true;
        barred_[j] = 1;
        if (limit-- <= 0) return false;
        if (!enter(j)) continue;
        ++side_.iterations;
        side_.active[j] = side_.parked[j] = 0;
        break;
      }
    }
  }

  Index rank() const { return static_cast<Index>(free_.size()); }
  void shorten(const Vector& units);

 private:
  bool enter(Index j);
  void leave(Index position);
  bool minimise_face();
  Index most_wrong() const;
  Vector target();
  Matrix triangle() const { return gather(W_, free_).topRows(rank()).triangularView<Eigen::Upper>(); }

  Side& side_;
  Matrix W_;
  Vector w_, tail_;
  double dependent_, tolerance_;
  Columns free_;
  Eigen::VectorXi barred_;  // 1: freed since the residual last fell
  std::vector<Eigen::JacobiRotation<double>> rotations_;
};

// Column j becomes the last of the triangle. False if it depends on those there.
bool Exchanges::enter(Index j) {
  const Index p = rank(), height = W_.rows() - p;
  if (height <= 0 || !(W_.col(j).tail(height).norm() > dependent_ * W_.col(j).norm())) return false;
  Vector v = W_.col(j).tail(height);
  double tau, beta;
  v.makeHouseholderInPlace(tau, beta);
  v[0] = 1;
  std::vector<bool> done(static_cast<std::size_t>(W_.cols()), false);  // zero below row p
  for (const Index i : free_) done[static_cast<std::size_t>(i)] = true;
  for (Index i = 0; i < W_.cols(); ++i) {
    if (done[static_cast<std::size_t>(i)] || i == j) continue;
    auto column = W_.col(i).tail(height);
    column -= (tau * v.dot(column)) * v;
  }
  auto column = w_.tail(height);
  column -= (tau * v.dot(column)) * v;
  W_.col(j).tail(height).setZero();
  W_(p, j) = beta;
  free_.push_back(j);
  return true;
}

// The triangle without one of its columns: rotations of neighbouring rows undo the step it leaves behind. Column by
// column, all rotations at once: each column is read once.
void Exchanges::leave(Index position) {
  free_.erase(free_.begin() + position);
  rotations_.clear();
  const auto rotate = [&](double* column) {
    for (std::size_t a = 0; a < rotations_.size(); ++a) {
      double &up = column[position + static_cast<Index>(a)], &down = column[position + static_cast<Index>(a) + 1];
      const double c = rotations_[a].c(), s = rotations_[a].s(), above = up;
      up = c * above - s * down;
      down = s * above + c * down;
    }
  };
  std::vector<bool> done(static_cast<std::size_t>(W_.cols()), false);
  for (const Index j : free_) done[static_cast<std::size_t>(j)] = true;
  for (Index q = position; q < rank(); ++q) {
    double* column = W_.col(free_[static_cast<std::size_t>(q)]).data();
    rotate(column);
    Eigen::JacobiRotation<double> rotation;
    rotation.makeGivens(column[q], column[q + 1], &column[q]);
    column[q + 1] = 0;
    rotations_.push_back(rotation);
  }
  for (Index j = 0; j < W_.cols(); ++j) {
    if (!done[static_cast<std::size_t>(j)]) rotate(W_.col(j).data());
  }
  rotate(w_.data());
}

// The free variables' minimiser over the face; tail_ the rows of the residual that are left.
Vector Exchanges::target() {
  const Index p = rank();
  Vector c = w_;
  for (Index j = 0; j < W_.cols(); ++j) {
    if ((side_.active[j] != 0 || side_.parked[j] != 0) && side_.y[j] != 0) c -= side_.y[j] * W_.col(j);
  }
  tail_ = c.tail(c.size() - p);
  for (Index q = p - 1; q >= 0; --q) {  // back substitution in place of a copy of the triangle
    const auto column = W_.col(free_[static_cast<std::size_t>(q)]);
    c[q] /= column[q];
    c.head(q) -= c[q] * column.head(q);
  }
  return c.head(p);
}

// Towards the minimiser over the face. True if it was reached; otherwise at least one variable met its wall and is
// held.
bool Exchanges::minimise_face() {
  const Vector t = target();
  double reach = 1;
  Index first = -1;
  for (Index q = 0; q < rank(); ++q) {
    const Index j = free_[static_cast<std::size_t>(q)];
    if (t[q] >= side_.lower[j] && t[q] <= side_.upper[j]) continue;
    const double wall = t[q] < side_.lower[j] ? side_.lower[j] : side_.upper[j];
    const double fraction = std::max(0.0, (wall - side_.y[j]) / (t[q] - side_.y[j]));
    if (first < 0 || fraction < reach) {
      reach = std::min(fraction, 1.0);
      first = q;
    }
  }
  if (first < 0) {
    for (Index q = 0; q < rank(); ++q) side_.y[free_[static_cast<std::size_t>(q)]] = t[q];
    return true;
  }
  for (Index q = 0; q < rank(); ++q) {
    const Index j = free_[static_cast<std::size_t>(q)];
    side_.y[j] = std::clamp(side_.y[j] + reach * (t[q] - side_.y[j]), side_.lower[j], side_.upper[j]);
  }
  const Index out = free_[static_cast<std::size_t>(first)];
  hold(side_, out, t[first] < side_.lower[out] ? -1 : 1);
  leave(first);
  ++side_.iterations;
  return false;
}

// Of the held variables that the gradient pushes inside beyond rounding, the one pushed hardest; -1 if there is none.
Index Exchanges::most_wrong() const {
  Index worst = -1;
  double most = tolerance_;
  for (Index j = 0; j < W_.cols(); ++j) {
    if ((side_.active[j] == 0 && side_.parked[j] == 0) || barred_[j] != 0) continue;
    side_.g[j] = -W_.col(j).tail(tail_.size()).dot(tail_);
    if (side_.wrong(j) > most) {
      most = side_.wrong(j);
      worst = j;
    }
  }
  return worst;
}

// x_E - N t of least norm, E the free and the parked, N = [-T^-1 W_P; I] their null space in the units of x.
void Exchanges::shorten(const Vector& units) {
  const Columns rest = where(side_.parked, false);
  const Index p = rank(), q = static_cast<Index>(rest.size());
  if (q == 0) return;
  const double largest = 1 / units.minCoeff();
  Matrix N = Matrix::Zero(p + q, q);
  N.topRows(p) = -triangle().triangularView<Eigen::Upper>().solve(gather(W_, rest).topRows(p));
  N.bottomRows(q).setIdentity();
  Vector y(p + q), scale(p + q);
  Columns all = free_;
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

// ----------------------------------------------------------------------------------------------------- the whole

// Are the columns that may move without changing the first-order conditions independent?
bool proven_unique(const Rows& rows, const Side& side) {
  if (side.deficient) return false;
  const double least = tolerance(side);
  Columns loose = where(side.active, true);
  const std::size_t free = loose.size();
  for (const Index j : where(side.active, false)) {
    if (std::abs(side.g[j]) <= least && side.lower[j] < side.upper[j]) loose.push_back(j);
  }
  if (loose.size() == free) return true;
  const Index p = static_cast<Index>(loose.size());
  if (p > rows.S.rows()) return false;
  Accumulator columns(Form::triangle, p);
  columns.add(gather(rows.S, loose), Vector::Zero(rows.S.rows()));
  return inverse_condition(columns.reduced().R) > rows.dependent;
}

double worst_of(const Side& side) {
  double worst = 0;
  for (Index j = 0; j < side.y.size(); ++j) worst = std::max(worst, side.wrong(j));
  return worst;
}

// From the point of the box next to the origin: what the blocks left where they failed may have dozens of variables
// free that depend on each other, far from any solution with few.
bool settle_exchanges(const Rows& rows, Side& side, int max_exchanges) {
  side.y.setZero();
  put_on_bounds(side);
  Exchanges exchanges(rows, side);
  const bool finished = exchanges.run(max_exchanges);
  side.rank = exchanges.rank();
  side.deficient = (side.parked.array() != 0).any();
  const Vector updated = side.y;
  measure(rows.S, side);
  if (!finished) return false;
  const double before = worst_of(side);
  if (side.deficient) {
    exchanges.shorten(rows.units);
  } else {
    if (!solve_face(rows, side)) side.y = updated;  // afresh: free of what many rotations left
    side.rank = exchanges.rank();
    side.y = side.y.cwiseMax(side.lower).cwiseMin(side.upper);
  }
  measure(rows.S, side);
  if (worst_of(side) <= std::max(before, tolerance(side))) return true;
  side.y = updated;
  measure(rows.S, side);
  return true;
}

BoundedStatus solve_side(const Rows& rows, Products& products, bool warm, int max_exchanges, Side& side) {
  put_on_bounds(side);
  bool settled = warm && settle_fresh(rows, side), finished = true;
  if (!settled) {
    put_on_bounds(side);
    sweep(rows, side);
    settled = guess(rows, products, side) && settle_fresh(rows, side);
  }
  if (!settled) finished = settle_exchanges(rows, side, max_exchanges);
  const double worst = worst_of(side);
  const double level = std::max(rounding_level * side.size(), tolerance(side));
  if (!side.y.allFinite() || !side.g.allFinite()) return BoundedStatus::stalled;
  if (!(worst <= level)) return finished ? BoundedStatus::stalled : BoundedStatus::limit;
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
  const Rows rows(std::move(A), std::move(B));
  Products products(rows.S);
  for (Index k = 0; k < sides; ++k) {
    Side side = make_side(rows, k, lower, upper);
    const bool warm = start.cols() > 0;
    if (warm) side.y = start.col(start.cols() == 1 ? 0 : k).cwiseProduct(rows.units) / side.beta;
    fit.status.push_back(solve_side(rows, products, warm, max_exchanges, side));
    fit.unique.push_back(proven_unique(rows, side));
    report(rows, lower, upper, k, side, fit);
  }
  return fit;
}

void fold_rows(const MatrixView& J, const MatrixView& B, Matrix& R, Matrix& Z) {
  const Index n = J.cols(), above = R.rows(), total = above + J.rows(), kept = std::min(total, n);
  assert(R.cols() == n && J.rows() == B.rows() && Z.cols() == B.cols() && Z.rows() == above);
  Matrix work(total, n), right(total, B.cols());
  work << R, J;
  right << Z, B;
  Eigen::HouseholderQR<Eigen::Ref<Matrix>> qr(work);
  right.applyOnTheLeft(qr.householderQ().adjoint());
  R = work.topRows(kept).triangularView<Eigen::Upper>();
  Z = right.topRows(kept);
}

}  // namespace marquardt
