// Small loops and limits of linear least squares: a product, triangular solves, a condition estimate.
#pragma once

#include <cmath>

#include "marquardt/linalg/fold.hpp"

namespace marquardt::linear {

// Up to this size the inverse of a triangle, which tells its condition, is cheaper than the steps of an estimate.
constexpr Index small_triangle = 8;

// Entries up to which a step of refinement, about a microsecond, is taken in any case: it mends the small components
// too, which the measure of loss, one number for all, does not see.
constexpr Index always_refined = 1024;

// Up to here corrections by R'R alone contract fast enough, by condition^2 * epsilon = 2e-6 a step.
constexpr double well_conditioned = 1e5;

// Times epsilon, the relative correction that another step of refinement has to promise.
constexpr double worth_a_step = 0.01;

// A condition estimate is seldom low by more than a factor of 3: beyond a tenth of the limit pivoting decides.
constexpr double doubtful_rank = 0.1;

// A column this long or short is scaled before anything is squared; 1e60 leaves room for a million rows and for
// entries down to rounding of the largest.
inline bool moderate(double length) { return length >= 1e-60 && length <= 1e60; }

// r -= A x, summed in T; four rows share each entry of x.
template <typename T>
void subtract_product(const StridedView& A, const T* x, T* r) {
  const Index m = A.rows(), n = A.cols(), step = A.innerStride(), stride = A.outerStride();
  const double* a = A.data();
  Index i = 0;
  for (; i + 4 <= m; i += 4) {
    T s0 = r[i], s1 = r[i + 1], s2 = r[i + 2], s3 = r[i + 3];
    const double* row = a + i * step;
    for (Index j = 0; j < n; ++j, row += stride) {
      const T xj = x[j];
      s0 -= static_cast<T>(row[0]) * xj;
      s1 -= static_cast<T>(row[step]) * xj;
      s2 -= static_cast<T>(row[2 * step]) * xj;
      s3 -= static_cast<T>(row[3 * step]) * xj;
    }
    r[i] = s0, r[i + 1] = s1, r[i + 2] = s2, r[i + 3] = s3;
  }
  for (; i < m; ++i) {
    T sum = r[i];
    for (Index j = 0; j < n; ++j) sum -= static_cast<T>(a[i * step + j * stride]) * x[j];
    r[i] = sum;
  }
}

// x = R^-1 x
inline void solve_upper(const Matrix& R, double* x) {
  for (Index j = R.cols() - 1; j >= 0; --j) {
    const double* column = R.data() + j * R.rows();
    const double xj = x[j] /= column[j];
    for (Index i = 0; i < j; ++i) x[i] -= column[i] * xj;
  }
}

// x = R^-T x
inline void solve_upper_transposed(const Matrix& R, double* x) {
  for (Index j = 0; j < R.cols(); ++j) {
    const double* column = R.data() + j * R.rows();
    double s0 = 0, s1 = 0;  // two sums, half the wait of one
    Index i = 0;
    for (; i + 2 <= j; i += 2) s0 += column[i] * x[i], s1 += column[i + 1] * x[i + 1];
    if (i < j) s0 += column[i] * x[i];
    x[j] = (x[j] - (s0 + s1)) / column[j];
  }
}

// Condition of R with columns scaled to length 1: the largest singular value by two power steps, the smallest by a
// right-hand side of signs that make the solution grow, and two steps of inverse iteration (Cline, Moler, Stewart &
// Wilkinson 1979, An estimate for the condition number of a matrix). `lengths` are those of the columns.
double condition_of_triangle(const Matrix& R, const Vector& lengths, Vector& v);

}  // namespace marquardt::linear
