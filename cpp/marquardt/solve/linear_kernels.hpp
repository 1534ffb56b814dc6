// Small loops of linear least squares: products in extended precision, triangular solves, a condition estimate.
#pragma once

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/fold.hpp"

namespace marquardt::linear {

// Rows at a time: 64 rows of 64 columns are 32 kB, so that both passes over them meet the first level of cache.
constexpr Index chunk = 64;

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

// y = A'r, summed in T; four columns share each entry of r.
template <typename T>
void transposed_product(const StridedView& A, const T* r, T* y) {
  const Index m = A.rows(), n = A.cols(), step = A.innerStride(), stride = A.outerStride();
  std::fill(y, y + n, T(0));
  for (Index first = 0; first < m; first += chunk) {
    const Index last = std::min(m, first + chunk);
    Index j = 0;
    for (; j + 4 <= n; j += 4) {
      T s0 = y[j], s1 = y[j + 1], s2 = y[j + 2], s3 = y[j + 3];
      const double* entry = A.data() + first * step + j * stride;
      for (Index i = first; i < last; ++i, entry += step) {
        const T ri = r[i];
        s0 += static_cast<T>(entry[0]) * ri;
        s1 += static_cast<T>(entry[stride]) * ri;
        s2 += static_cast<T>(entry[2 * stride]) * ri;
        s3 += static_cast<T>(entry[3 * stride]) * ri;
      }
      y[j] = s0, y[j + 1] = s1, y[j + 2] = s2, y[j + 3] = s3;
    }
    for (; j < n; ++j) {
      T sum = y[j];
      const double* column = A.data() + j * stride;
      for (Index i = first; i < last; ++i) sum += static_cast<T>(column[i * step]) * r[i];
      y[j] = sum;
    }
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
