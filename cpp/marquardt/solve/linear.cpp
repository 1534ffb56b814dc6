// min ||A x - b|| by orthogonal factors.
//
//   tall   A = Q [R; 0],    x = R^-1 (Q'b)          wide   A' = Q [R; 0],   x = Q [R^-T b; 0], of least norm
//
// x is refined with residuals in twice the digits: it becomes as good as if A and b were known to more digits than
// they are. The rank is decided on the matrix with columns scaled to length 1, so that units of the variables do not
// count, by column pivoting where the condition of R leaves a doubt.
// References: Golub & Van Loan, Matrix Computations, 4th ed., chapter 5; Higham, Accuracy and Stability of Numerical
// Algorithms, 2nd ed., chapters 19-20; Bjorck (1967), Iterative refinement of linear least squares solutions.
#include "marquardt/solve/linear.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/lanes.hpp"
#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/solve/linear_kernels.hpp"
#include "marquardt/solve/linear_rank.hpp"

namespace marquardt {

using linear::always_refined;
using linear::condition_of_triangle;
using linear::moderate;
using linear::solve_upper;
using linear::solve_upper_transposed;
using linear::subtract_product;
using linear::well_conditioned;

namespace linear {
namespace {

// Divides x by its length and returns it; a length without a finite square is infinite.
double normalise(double* x, Index n) {
  double sum = 0;
  for (Index j = 0; j < n; ++j) sum += x[j] * x[j];
  const double length = std::sqrt(sum), inverse = 1 / length;
  for (Index j = 0; j < n; ++j) x[j] *= inverse;
  return length < infinity ? length : infinity;
}

// sum 1 / sigma_i^2 = ||S^-1||_F^2, in which all but the smallest singular value are taken for 1: exact for orthogonal
// columns, and low by at most the largest singular value, sqrt(n).
double condition_by_inverse(const Matrix& R, const Vector& lengths) {
  const Index n = R.cols();
  double inverse[small_triangle * small_triangle], sum = 0;
  for (Index j = 0; j < n; ++j) {  // column j of S^-1 from those before it
    double* x = inverse + j * small_triangle;
    const double last = x[j] = lengths[j] / R(j, j);
    sum += last * last;
    for (Index i = 0; i < j; ++i) {
      double s = 0;
      for (Index l = i; l < j; ++l) s += inverse[i + l * small_triangle] * (R(l, j) / lengths[j]);
      x[i] = -s * last;
      sum += x[i] * x[i];
    }
  }
  const double others = static_cast<double>(n - 1), condition = std::sqrt(std::max(1.0, sum - others));
  return condition < infinity ? condition : infinity;  // NaN counts as infinite
}

}  // namespace

double condition_of_triangle(const Matrix& R, const Vector& lengths, Vector& v) {
  const Index n = R.cols();
  for (Index j = 0; j < n; ++j) {
    if (R(j, j) == 0 || !(lengths[j] > 0)) return infinity;
  }
  if (n == 1) return 1;
  if (n <= small_triangle) return condition_by_inverse(R, lengths);
  v.resize(2 * n);
  double *x = v.data(), *y = x + n;
  double largest = 0;
  std::fill(x, x + n, 1 / std::sqrt(static_cast<double>(n)));
  for (int step = 0; step < 2; ++step) {  // x <- S'S x, S = R / lengths
    std::fill(y, y + n, 0.0);
    for (Index j = 0; j < n; ++j) {
      const double w = x[j] / lengths[j];
      for (Index i = 0; i <= j; ++i) y[i] += R(i, j) * w;
    }
    double sum = 0;
    for (Index j = 0; j < n; ++j) {
      double s = 0;
      for (Index i = 0; i <= j; ++i) s += R(i, j) * y[i];
      x[j] = s / lengths[j];
      sum += x[j] * x[j];
    }
    largest = std::sqrt(std::sqrt(sum));
    for (Index j = 0; j < n; ++j) x[j] /= largest * largest;
  }
  for (Index j = 0; j < n; ++j) {  // S'x = signs
    double s = 0;
    for (Index i = 0; i < j; ++i) s += R(i, j) * x[i];
    x[j] = ((s > 0 ? -lengths[j] : lengths[j]) - s) / R(j, j);
  }
  double smallest = infinity;
  for (int step = 0; step < 2; ++step) {
    // x <- S^-1 (x / ||x||), whose length is at most 1 / sigma_min; then S'^-1 of it, likewise
    if (step > 0) {
      for (Index j = 0; j < n; ++j) x[j] *= lengths[j];
      solve_upper_transposed(R, x);
      smallest = std::min(smallest, 1 / normalise(x, n));
    } else {
      normalise(x, n);
    }
    solve_upper(R, x);
    for (Index j = 0; j < n; ++j) x[j] *= lengths[j];
    smallest = std::min(smallest, 1 / normalise(x, n));
  }
  return smallest > 0 ? std::max(1.0, largest / smallest) : infinity;  // NaN counts as infinite
}

}  // namespace linear

namespace {

// Infinite or NaN if an entry is.
double largest_entry(const StridedView& A, Index j) {
  double largest = 0;
  for (Index i = 0; i < A.rows(); ++i) {
    const double a = std::abs(A(i, j));
    if (!(a < infinity)) return a;
    largest = std::max(largest, a);
  }
  return largest;
}

// While Q fits into 1 MB it is kept: it costs nothing there, and refinement may ask for it.
constexpr Index small = 131072;

// A solution that lost more than a digit is refined.
constexpr double worth_refining = 10;

// A change of A x within this many times epsilon ||r|| is not written into r: what b - A x computed in double precision
// is off by is no less. Saves a large system one of three passes over A.
constexpr double unseen = 2;

// Refinement ends by itself when a step no longer halves the one before; with three digits a step six are all there is.
constexpr int most_steps = 6;

}  // namespace

bool LinearSolver::scale_extremes(const StridedView& M, const StridedView& F) {
  scale_.resize(M.cols());
  for (Index j = 0; j < M.cols(); ++j) {
    const double largest = largest_entry(M, j);
    if (!(largest < infinity)) return false;
    scale_[j] = normaliser(largest, 1000);
  }
  double largest = 0;
  for (Index j = 0; j < F.cols(); ++j) {
    const double column = largest_entry(F, j);
    if (!(column < infinity)) return false;
    largest = std::max(largest, column);
  }
  b_scale_ = normaliser(largest, 1000);
  return true;
}

// [M F] = Q [R Z], as it is; reflectors keep the lengths of columns, so that those of [R Z] tell whether any square on
// the way was out of range. If so, once more with columns scaled. False: something is not finite.
bool LinearSolver::reduce(const StridedView& M, const StridedView& F, bool keep) {
  const Index n = M.cols();
  kept_ = keep;
  scale_.resize(0);
  b_scale_ = 1;
  lengths_.resize(n);
  for (bool scaled : {false, true}) {
    if (scaled && !scale_extremes(M, F)) return false;
    factor_.factor(M, scale_, F, b_scale_, keep);
    bool safe = true;
    for (Index j = 0; j < n; ++j) {
      lengths_[j] = factor_.R().col(j).head(j + 1).norm();
      safe = safe && moderate(lengths_[j]);
    }
    for (Index c = 0; c < F.cols(); ++c) {
      const double length = std::sqrt(factor_.Z().col(c).squaredNorm() + factor_.rest(c) * factor_.rest(c));
      safe = safe && (moderate(length) || (length == 0 && largest_entry(F, c) == 0));
    }
    if (safe) break;
  }
  condition_ = condition_of_triangle(factor_.R(), lengths_, top_);
  return true;
}

// x in the units of A and b; one rounding, if any, however far the powers of two are apart.
double LinearSolver::unscaled_x(double x, Index j) const {
  if (scale_.size() == 0) return x;
  return std::ldexp(x, std::ilogb(scale_[j]) - std::ilogb(b_scale_));
}

// r = s - A x and x += (A'A)^-1 A'r by R, until a step is below rounding: two for conditions up to 1e5.
void LinearSolver::refine() {
  const Index n = x_.high.size();
  const bool small_system = n * r_.high.size() <= always_refined;
  for (int step = 0; step < 2; ++step) {
    long_residual_.sweep(s_, x_, nullptr, r_, product_);
    top_ = product_.high;
    solve_upper_transposed(factor_.R(), top_.data());
    const double change_of_fit = top_.norm();
    solve_upper(factor_.R(), top_.data());
    double change = 0;
    for (Index j = 0; j < n; ++j) {
      if (!std::isfinite(top_[j])) return;
      if (top_[j] != 0) change = std::max(change, std::abs(top_[j] / (x_.high[j] + top_[j])));
    }
    for (Index j = 0; j < n; ++j) x_.add(j, top_[j]);
    if (small_system || change_of_fit > unseen * epsilon * r_.high.norm()) long_residual_.subtract(top_, r_.low);
    if (change * condition_ * condition_ < linear::worth_a_step) return;
  }
}

// Bjorck's refinement of  r + A x = b, A'r = 0  with r and x apart: contracts by condition * epsilon a step.
void LinearSolver::refine_apart(const Vector& b) {
  const Index m = b.size(), n = x_.high.size();
  top_.resize(2 * n);
  below_.resize(factor_.padded());
  f_.resize(m);
  long_residual_.sweep(s_, x_, nullptr, r_, product_);
  double last = infinity;
  for (int step = 0; step < most_steps; ++step) {
    for (Index i = 0; i < m; ++i) {
      two_sum(b[i], -r_.high[i], s_.high[i], s_.low[i]);
      s_.low[i] -= r_.low[i];
    }
    long_residual_.sweep(s_, x_, &r_, f_, product_);
    below_.setZero();
    below_.head(m) = f_.high;
    auto q = top_.head(n), h = top_.tail(n);
    q.setZero();
    h = -product_.high;
    solve_upper_transposed(factor_.R(), h.data());
    factor_.apply_transposed(q.data(), below_.data());
    Vector step_y = q - h;
    solve_upper(factor_.R(), step_y.data());
    const double size = lengths_.cwiseProduct(step_y).norm();
    if (!(size < 0.5 * last)) return;  // rounding, or no convergence
    last = size;
    factor_.apply(h.data(), below_.data());
    for (Index j = 0; j < n; ++j) x_.add(j, step_y[j]);
    for (Index i = 0; i < m; ++i) r_.add(i, below_[i]);
  }
}

// x = R^-1 Z for full column rank, refined where that buys digits; residuals.
bool LinearSolver::finish_tall(const StridedView& A, const StridedView& b, LinearFit& fit) {
  const Index m = A.rows(), n = A.cols(), k = b.cols();
  const Matrix& R = factor_.R();
  const bool apart = condition_ > well_conditioned;
  Matrix& y = fit.x;
  y = factor_.Z();
  double loss = 0;
  for (Index c = 0; c < k; ++c) {
    const double fitted = y.col(c).norm();
    const double ratio = fitted > 0 ? factor_.rest(c) / fitted : 0;
    loss = std::max(loss, condition_ * (1 + std::min(condition_ * ratio, 1e300)));
    solve_upper(R, y.col(c).data());
  }
  const bool refined = m * n * k <= always_refined || loss > worth_refining;
  if (refined && apart && !kept_) {  // once more, and keep Q
    factor_.factor(A, scale_, b, b_scale_, true);
    kept_ = true;
  }
  fit.residuals.resize(m, k);
  if (refined) {
    long_residual_.begin(A, scale_, lengths_);
    r_.resize(m);
    s_.resize(m);
    x_.resize(n);
  }
  for (Index c = 0; c < k; ++c) {
    if (refined) {
      for (Index i = 0; i < m; ++i) s_.high[i] = b(i, c) * b_scale_;
      s_.low.setZero();
      x_.high = y.col(c);
      x_.low.setZero();
      if (apart) {
        refine_apart(Vector(s_.high));
      } else {
        refine();
      }
      y.col(c) = x_.high;
      for (Index i = 0; i < m; ++i) fit.residuals(i, c) = (r_.high[i] + r_.low[i]) / b_scale_;
    }
    for (Index j = 0; j < n; ++j) fit.x(j, c) = unscaled_x(y(j, c), j);
    if (!refined) {
      for (Index i = 0; i < m; ++i) fit.residuals(i, c) = b(i, c);
      subtract_product(A, fit.x.col(c).data(), fit.residuals.col(c).data());
    }
  }
  fit.rank = n;
  fit.condition = condition_;
  return true;
}

// The triangle in the units of A
void LinearSolver::read_triangle(LinearFit& fit) const {
  fit.triangle = factor_.R();
  for (Index j = 0; j < scale_.size(); ++j) fit.triangle.col(j) /= scale_[j];
}

bool LinearSolver::solve_tall(const StridedView& A, const StridedView& b, LinearFit& fit) {
  const Index m = A.rows(), n = A.cols();
  if (!reduce(A, b, m * (n + b.cols()) <= small)) return false;
  read_triangle(fit);
  const bool certain = condition_ * threshold_ < linear::doubtful_rank || (threshold_ == 0 && condition_ < infinity);
  if (certain || linear::Echelon(fit.triangle, threshold_).rank() == n) return finish_tall(A, b, fit);
  Matrix z = factor_.Z() / b_scale_;
  linear::solve_deficient(fit.triangle, z, threshold_, options_.method == LinearMethod::qr, fit);
  return true;
}

// A of full row rank: A' = Q [R; 0], refined as  x + A'y = 0, A x = b.  False: the rank is in doubt.
bool LinearSolver::solve_wide(const StridedView& A, const StridedView& b, LinearFit& fit) {
  const Index m = A.rows(), n = A.cols(), k = b.cols();
  const StridedView M(A.data(), n, m, {A.innerStride(), A.outerStride()});
  const StridedView none(nullptr, n, 0, {1, n});
  if (!reduce(M, none, true) || !(condition_ * threshold_ < linear::doubtful_rank)) return false;
  const Matrix& R = factor_.R();
  fit.x.resize(n, k);
  PairVector x, y, minus_x, g;
  f_.resize(n);
  Vector h(m), q(m), below(factor_.padded());
  long_residual_.begin(M, scale_, lengths_);
  for (Index c = 0; c < k; ++c) {
    const double largest = largest_entry(b, c), size = largest > 0 ? normaliser(largest, 1000) : 1;
    x.set_zero(n);
    y.set_zero(m);
    double last = infinity;
    for (int step = 0; step < most_steps; ++step) {
      minus_x.high = -x.high;
      minus_x.low = -x.low;
      long_residual_.sweep(minus_x, y, &x, f_, g);
      below.setZero();
      below.head(n) = f_.high;
      for (Index i = 0; i < m; ++i) {  // h = b - A x
        const double right = scale_.size() > 0 ? std::ldexp(b(i, c) * size, std::ilogb(scale_[i])) : b(i, c) * size;
        h[i] = (right - g.high[i]) - g.low[i];
      }
      q.setZero();
      solve_upper_transposed(R, h.data());
      factor_.apply_transposed(q.data(), below.data());
      Vector change = q - h;
      solve_upper(R, change.data());
      factor_.apply(h.data(), below.data());
      const double moved = below.norm();
      if (!(moved < 0.5 * last)) break;
      last = moved;
      for (Index i = 0; i < m; ++i) y.add(i, change[i]);
      for (Index i = 0; i < n; ++i) x.add(i, below[i]);
      // Large systems of good condition: their first digits are all there are to gain but one.
      if (step == 0 && m * n * k > always_refined && condition_ < worth_refining) break;
    }
    for (Index j = 0; j < n; ++j) fit.x(j, c) = x.high[j] / size;
  }
  fit.rank = m;
  return true;
}

bool LinearSolver::solve(const StridedView& A, const StridedView& b, LinearFit& fit) {
  const Index m = A.rows(), n = A.cols(), k = b.cols();
  threshold_ = options_.rcond < 0 ? static_cast<double>(std::max(m, n)) * epsilon : options_.rcond;
  fit.condition = infinity;
  fit.singular_values.resize(0);
  fit.null_space.resize(n, 0);
  fit.basis.resize(0, 0);
  fit.ridge = 0;
  const bool automatic = options_.method == LinearMethod::automatic;
  bool residuals_known = false;
  if (m == 0 || n == 0) {
    fit.x.setZero(n, k);
    fit.rank = 0;
    fit.triangle = Matrix::Zero(n, n);
    if (n <= linear::most_directions) fit.null_space.setIdentity(n, n);
    if (n == 0) fit.condition = 1;
    for (Index c = 0; c < k; ++c) {
      if (!(largest_entry(b, c) < infinity)) return false;
    }
  } else if (m >= n && (automatic || options_.method == LinearMethod::qr)) {
    if (!solve_tall(A, b, fit)) return false;
    residuals_known = fit.rank == n;
  } else {
    for (const StridedView* given : {&A, &b}) {
      for (Index j = 0; j < given->cols(); ++j) {
        if (!(largest_entry(*given, j) < infinity)) return false;
      }
    }
    solve_otherwise(A, b, fit);
  }
  if (!residuals_known) {
    fit.residuals = b;
    for (Index c = 0; c < k; ++c) subtract_product(A, fit.x.col(c).data(), fit.residuals.col(c).data());
  }
  fit.cost.resize(k);
  for (Index c = 0; c < k; ++c) {
    const double norm = safe_norm(fit.residuals.col(c));
    fit.cost[c] = 0.5 * norm * norm;
  }
  fit.dof = static_cast<double>(m - fit.rank);
  return true;
}

// Wide systems, and the methods that are asked for by name.
void LinearSolver::solve_otherwise(const StridedView& A, const StridedView& b, LinearFit& fit) {
  const bool basic = options_.method == LinearMethod::qr;
  if (A.rows() < A.cols() && options_.method == LinearMethod::automatic && solve_wide(A, b, fit)) {
    fit.triangle = A;
    linear::find_null_space(fit.triangle, threshold_, fit);
    return;
  }
  Matrix small_A = A, small_b = b;
  if (A.rows() > A.cols() && options_.method != LinearMethod::cholesky) {  // the triangle says the same in fewer rows
    reduce(A, b, false);
    read_triangle(fit);
    small_A = fit.triangle;
    small_b = factor_.Z() / b_scale_;
  }
  switch (options_.method) {
    case LinearMethod::automatic:
    case LinearMethod::qr:
      linear::solve_deficient(small_A, small_b, threshold_, basic, fit);
      break;
    case LinearMethod::cod:
      linear::solve_by_cod(small_A, small_b, threshold_, fit);
      break;
    case LinearMethod::svd:
      linear::solve_by_svd(small_A, small_b, threshold_, fit);
      break;
    case LinearMethod::cholesky:
      linear::solve_by_cholesky(small_A, small_b, fit);
      break;
  }
  if (options_.method != LinearMethod::cholesky) fit.triangle = small_A;
}

LinearFit solve_linear(const MatrixView& A, const MatrixView& b, double rcond, LinearMethod method) {
  LinearFit fit;
  LinearSolver({method, rcond}).solve(strided(A), strided(b), fit);
  return fit;
}

}  // namespace marquardt
