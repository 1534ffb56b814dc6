// S = A D^-1 / columns of length 1/2 to 1, y = D x / beta, z = b / beta: powers of two, so exact.
#include "marquardt/solve/bounded_linear_side.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <utility>

#include "marquardt/linalg/accumulator.hpp"
#include "marquardt/linalg/cholesky.hpp"
#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt::bounded {
namespace {

// From so many right-hand sides on, the triangle of A costs less than passes over all rows for each of them.
constexpr Index many_sides = 3;

// From so many rows per column on, it costs less than a few passes over all rows.
constexpr Index tall = 16;

// Scaled bounds stay below this in size: no square of theirs overflows.
constexpr double farthest = 1e140;

double nearest_to_zero(double lower, double upper) { return std::clamp(0.0, lower, upper); }

}  // namespace

Rows::Rows(Matrix A, Matrix b) : S(std::move(A)), B(std::move(b)), units(S.cols()), squares(S.cols()) {
  for (Index j = 0; j < S.cols(); ++j) {
    const double norm = safe_norm(S.col(j)), scale = normaliser(norm, 1000);
    if (scale != 1) S.col(j) *= scale;
    units[j] = 1 / scale;
    squares[j] = (norm * scale) * (norm * scale);
  }
  dependent = 10 * static_cast<double>(std::max(S.rows(), S.cols())) * epsilon;
  if (B.cols() >= many_sides || S.rows() >= tall * S.cols()) triangularise();
}

void Rows::triangularise() {
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

Side::Side(const Rows& rows, Index k, const VectorView& lower_bounds, const VectorView& upper_bounds)
    : z(rows.B.col(k)), lower(lower_bounds), upper(upper_bounds) {
  const Index n = rows.S.cols();
  double size = safe_norm(z);
  for (Index j = 0; j < n; ++j) size = std::max(size, std::abs(nearest_to_zero(lower[j], upper[j])) * rows.units[j]);
  beta = std::isfinite(size) ? 1 / normaliser(size, 1000) : 1;
  z /= beta;
  norm_z = z.norm();
  for (Index j = 0; j < n; ++j) {
    const double scale = rows.units[j] / beta;
    const auto scaled = [scale](double bound) {
      return std::isfinite(bound) && bound != 0 ? std::clamp(bound * scale, -farthest, farthest) : bound;
    };
    lower[j] = scaled(lower[j]);
    upper[j] = scaled(upper[j]);
  }
  y.setZero(n);
  g.setZero(n);
  active.setZero(n);
  parked.setZero(n);
}

double Side::wrong(Index j) const {
  if (lower[j] == upper[j]) return 0;
  if (y[j] == lower[j] && g[j] >= 0) return 0;
  if (y[j] == upper[j] && g[j] <= 0) return 0;
  return std::abs(g[j]);
}

double Side::worst() const {
  double worst = 0;
  for (Index j = 0; j < y.size(); ++j) worst = std::max(worst, wrong(j));
  return worst;
}

// Columns are at most 1 long, and errors of many rows rarely add up. A larger tolerance would let nearly dependent
// columns wait outside although their place is inside.
double Side::tolerance() const { return 8 * epsilon * size(); }

void Side::hold(Index j, int where_to) {
  active[j] = where_to;
  y[j] = where_to < 0 ? lower[j] : upper[j];
}

void Side::put_on_bounds() {
  for (Index j = 0; j < y.size(); ++j) {
    const double finite = std::isfinite(y[j]) ? y[j] : 0;
    y[j] = std::clamp(finite, lower[j], upper[j]);
    active[j] = y[j] <= lower[j] ? -1 : y[j] >= upper[j] ? 1 : 0;
  }
}

Columns where(const Eigen::VectorXi& active, bool free) {
  Columns found;
  found.reserve(static_cast<std::size_t>(active.size()));
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

Vector remainder(const Matrix& S, const Side& side) {
  Vector c = side.z;
  for (Index j = 0; j < S.cols(); ++j) {
    if ((side.active[j] != 0 || side.parked[j] != 0) && side.y[j] != 0) c -= side.y[j] * S.col(j);
  }
  return c;
}

// Of few variables that are not zero, by their columns.
void measure(const Matrix& S, Side& side) {
  side.r = side.z;
  if (3 * (side.y.array() != 0).count() > S.cols()) {
    side.r.noalias() -= S * side.y;
  } else {
    for (Index j = 0; j < S.cols(); ++j) {
      if (side.y[j] != 0) side.r -= side.y[j] * S.col(j);
    }
  }
  side.g.noalias() = -(S.transpose() * side.r);
}

// Two solves, the first with the right-hand side +-1 that makes the solution grow (LINPACK; Cline, Moler, Stewart &
// Wilkinson 1979).
double inverse_condition(const Matrix& L) {
  const Index p = L.rows();
  if (p == 0) return 1;
  if ((L.diagonal().array() == 0).any()) return 0;
  Vector u, squares = Vector::Zero(p);
  for (Index i = 0; i < p; ++i) squares.tail(p - i) += L.col(i).tail(p - i).cwiseAbs2();
  solve_growing(L, u);
  const double first = u.norm();
  solve_lower_transposed(L, u);
  const double second = u.norm();
  return std::isfinite(second) ? first / second / std::sqrt(squares.maxCoeff()) : 0;
}

}  // namespace marquardt::bounded
