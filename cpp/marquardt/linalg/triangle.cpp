// Small triangles: a square root of B + C, a diagonal folded in, columns pivoted.
//
//   square_root    T'T = s^2 P'(B + C)P
//   fold_diagonal  [T; diag(s)] = Q [T+; 0]; row k of the diagonal fills in to the right of its column only, so
//                  reflector k acts on row k of T and on the first rows of the fill
//   pivot_columns  T P = Q R, the longest remaining column first
//   orthogonalise  rotations of pairs of columns, each making its pair orthogonal, until all are
//
// References: More (1978), The Levenberg-Marquardt algorithm, section 3 (the damped triangle);
// Golub & Van Loan, 5.4.2 (pivoted QR); Higham, Accuracy and Stability of Numerical Algorithms, 10.3 (semidefinite
// Cholesky); Demmel & Veselic (1992), Jacobi's method is more accurate than QR; Drmac & Veselic (2008), New fast and
// accurate Jacobi SVD algorithm (why the transpose of a pivoted triangle: two or three sweeps do).
#include "marquardt/linalg/triangle.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// H [head; tail] = [beta; 0], H = I - tau [1; v][1; v]'; v overwrites tail. tail must not be zero.
struct Reflector {
  double tau, beta, head;
};

template <typename Column>
Reflector make_reflector(double head, double tail_norm, Column& tail) {
  const double beta = -std::copysign(std::hypot(head, tail_norm), head);
  tail /= head - beta;  // no cancellation: beta has the other sign
  return {(beta - head) / beta, beta, head};
}

// [top; below] -= tau [1; v] [1; v]'[top; below]. The new top is the product with [head; tail] over beta: no
// cancellation where the tail dwarfs the head, so that a step keeps its digits under a damping of any size.
template <typename Column, typename Target>
void apply_reflector(const Reflector& h, const Column& v, double& top, Target below) {
  const double product = v.dot(below), a = h.tau * (top + product);
  top = h.head / h.beta * top + (h.head / h.beta - 1) * product;
  below -= a * v;
}

// 2^300 bounds the scaling, so that s^2 alpha stays in range as well.
constexpr int most_scaling = 300;
// Quadratic convergence takes a handful; this many only where rounding keeps a pair from settling.
constexpr int most_sweeps = 30;

// Columns p and q of L, and entries p and q of w, by the angle whose double has the cotangent zeta.
void rotate(Matrix& L, Vector& w, Index p, Index q, double zeta) {
  const double t = std::copysign(1 / (std::abs(zeta) + std::hypot(1, zeta)), zeta);
  const double cosine = 1 / std::hypot(1, t), sine = cosine * t;
  const auto turn = [cosine, sine](double& x, double& y) {
    const double before = x;
    x = cosine * x + sine * y;
    y = cosine * y - sine * before;
  };
  for (Index i = 0; i < L.rows(); ++i) turn(L(i, p), L(i, q));
  turn(w[p], w[q]);
}

// T = s A, the root of C folded in
void root_of_triangle(const Model& model, Root& root) {
  const Reduced& rows = model.rows();
  const Index n = model.size();
  double largest = 0;
  for (Index j = 0; j < n; ++j) largest = std::max(largest, rows.column_norms[j] * model.d()[j]);
  if (model.has_curvature()) largest = std::max(largest, std::sqrt(model.C().maxCoeff()));
  root.s = normaliser(largest, most_scaling);
  // s enters before d: each product of the two factors alone may leave the range
  for (Index j = 0; j < n; ++j) root.T.col(j) = (rows.R.col(j) * root.s) * model.d()[j];
  root.w = rows.z;
  root.order.setLinSpaced(n, 0, static_cast<int>(n) - 1);
  if (model.has_curvature()) {
    root.diagonal = model.C().cwiseSqrt() * root.s;
    fold_diagonal(root.diagonal, root.T, root.w, root.fill);
  }
}

// Entry (i, j) of s^2 (B + C)
double entry(const Model& model, double s, Index i, Index j) {
  const double b = (model.rows().H(i, j) * s * model.d()[i]) * (s * model.d()[j]);
  return i == j ? b + model.C()[i] * s * s : b;
}

// Left-looking Cholesky with diagonal pivoting; row k of T from the columns above it.
void root_of_gram(const Model& model, Root& root) {
  const Index n = model.size();
  double largest = 0;
  for (Index j = 0; j < n; ++j) {
    const double norm = model.rows().column_norms[j] * model.d()[j];
    largest = std::max({largest, norm, std::sqrt(model.C()[j])});
  }
  root.s = normaliser(largest, most_scaling);
  Matrix& T = root.T;
  T.setZero();
  root.w.setZero();
  root.order.setLinSpaced(n, 0, static_cast<int>(n) - 1);
  root.diagonal.resize(n);
  Vector& left = root.diagonal;  // remaining diagonal, travelling with the columns
  for (Index j = 0; j < n; ++j) left[j] = entry(model, root.s, j, j);
  for (Index k = 0; k < n; ++k) {
    Index pivot = n;
    for (Index j = k; j < n; ++j) {
      const bool noise =
          left[j] <= static_cast<double>(n) * epsilon * entry(model, root.s, root.order[j], root.order[j]);
      if (!noise && (pivot == n || left[j] > left[pivot])) pivot = j;
    }
    if (pivot == n) break;  // only rounding is left
    if (pivot != k) {
      T.col(k).head(k).swap(T.col(pivot).head(k));
      std::swap(left[k], left[pivot]);
      std::swap(root.order[k], root.order[pivot]);
    }
    const auto above = T.col(k).head(k);
    const double root_pivot = std::sqrt(left[k]);
    T(k, k) = root_pivot;
    for (Index j = k + 1; j < n; ++j) {
      T(k, j) = (entry(model, root.s, root.order[k], root.order[j]) - above.dot(T.col(j).head(k))) / root_pivot;
      left[j] -= T(k, j) * T(k, j);
    }
    root.w[k] = (root.s * model.gradient()[root.order[k]] - above.dot(root.w.head(k))) / root_pivot;
  }
}

}  // namespace

void square_root(const Model& model, Root& root) {
  const Index n = model.size();
  root.T.resize(n, n);
  root.w.resize(n);
  root.order.resize(n);
  root.model = &model;
  if (model.rows().form == Form::triangle) {
    root_of_triangle(model, root);
  } else {
    root_of_gram(model, root);
  }
}

void place_step(const Root& root, const Vector& step, Vector& p_hat) {
  const Vector& d = root.model->d();
  p_hat.resize(step.size());
  for (Index k = 0; k < step.size(); ++k) p_hat[root.order[k]] = d[root.order[k]] == 0 ? 0 : root.s * step[k];
}

void fold_diagonal(const VectorView& s, Matrix& T, Vector& w, Matrix& fill) {
  const Index n = T.cols();
  assert(T.rows() == n && w.size() == n && s.size() == n);
  if (fill.rows() != n || fill.cols() != n + 1) fill.resize(n, n + 1);
  fill.setZero();
  Index height = 0;  // rows of the fill in use: one for each entry of s so far that is not zero
  for (Index k = 0; k < n; ++k) {
    if (s[k] != 0) fill(height++, k) = s[k];
    auto v = fill.col(k).head(height);
    const double norm = safe_norm(v);
    if (norm == 0) continue;
    const Reflector h = make_reflector(T(k, k), norm, v);
    T(k, k) = h.beta;
    for (Index j = k + 1; j < n; ++j) apply_reflector(h, v, T(k, j), fill.col(j).head(height));
    apply_reflector(h, v, w[k], fill.col(n).head(height));
  }
}

void pivot_columns(Matrix& T, Vector& w, Eigen::VectorXi& order) {
  const Index n = T.cols();
  assert(T.rows() == n && w.size() == n && order.size() == n);
  for (Index k = 0; k < n; ++k) {
    // The remaining norms afresh: 1/3 n^3 operations beside 4/3 n^3, and no updating formula to lose digits in.
    Index pivot = k;
    double longest = -1;
    for (Index j = k; j < n; ++j) {
      const double norm = safe_norm(T.col(j).tail(n - k));
      if (norm > longest) {
        longest = norm;
        pivot = j;
      }
    }
    if (longest == 0) return;  // all that remains is zero
    if (pivot != k) {
      T.col(k).swap(T.col(pivot));
      std::swap(order[k], order[pivot]);
    }
    auto v = T.col(k).tail(n - k - 1);
    const double norm = safe_norm(v);
    if (norm == 0) continue;
    const Reflector h = make_reflector(T(k, k), norm, v);
    T(k, k) = h.beta;
    for (Index j = k + 1; j < n; ++j) apply_reflector(h, v, T(k, j), T.col(j).tail(n - k - 1));
    apply_reflector(h, v, w[k], w.tail(n - k - 1));
    v.setZero();
  }
}

void orthogonalise(Matrix& L, Vector& w) {
  const Index n = L.cols();
  assert(w.size() == n);
  const double orthogonal = static_cast<double>(n) * epsilon;
  bool rotated = true;
  for (int sweep = 0; rotated && sweep < most_sweeps; ++sweep) {
    rotated = false;
    for (Index p = 0; p < n; ++p) {
      for (Index q = p + 1; q < n; ++q) {
        double a = L.col(p).squaredNorm(), b = L.col(q).squaredNorm();
        const double c = L.col(p).dot(L.col(q));
        if (b > a) {  // the longer one first: they come out sorted
          L.col(p).swap(L.col(q));
          std::swap(w[p], w[q]);
          std::swap(a, b);
        }
        if (!(std::abs(c) > orthogonal * std::sqrt(a) * std::sqrt(b))) continue;
        rotated = true;
        rotate(L, w, p, q, (a - b) / (2 * c));
      }
    }
  }
}

}  // namespace marquardt
