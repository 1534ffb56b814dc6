// U'U = A and systems with an upper triangular U, at any size. Up to a dozen columns plain loops: setting up Eigen's
// blocked kernels takes several times as long as the arithmetic there. Beyond, Eigen's.
#pragma once

#include <Eigen/Cholesky>
#include <cmath>

#include "marquardt/base/types.hpp"

namespace marquardt {

constexpr Index few_columns = 12;

// y = A x for a square A
inline void multiply(const Matrix& A, const Vector& x, Vector& y) {
  if (A.cols() <= few_columns) {
    y.noalias() = A.lazyProduct(x);
  } else {
    y.noalias() = A * x;
  }
}

// The upper half of A becomes U, what is below stays. False at a pivot that is not positive and finite.
inline bool factor_upper(Matrix& A) {
  const Index n = A.cols();
  if (n > few_columns) {
    const Eigen::LLT<Eigen::Ref<Matrix>, Eigen::Upper> llt(A);  // in place
    return llt.info() == Eigen::Success && A.diagonal().allFinite();
  }
  for (Index j = 0; j < n; ++j) {
    double* const column = A.data() + j * n;
    for (Index i = 0; i <= j; ++i) {
      const double* const earlier = A.data() + i * n;
      double rest = column[i];
      for (Index k = 0; k < i; ++k) rest -= earlier[k] * column[k];
      if (i == j && !(rest > 0)) return false;
      column[i] = i == j ? std::sqrt(rest) : rest / earlier[i];
    }
  }
  return A.diagonal().allFinite();
}

// U y+ = y
inline void solve_upper(const Matrix& U, Vector& y) {
  const Index n = U.cols();
  if (n > few_columns) {
    U.triangularView<Eigen::Upper>().solveInPlace(y);
    return;
  }
  for (Index j = n; j-- > 0;) {
    const double* const column = U.data() + j * n;
    y[j] /= column[j];
    for (Index i = 0; i < j; ++i) y[i] -= column[i] * y[j];
  }
}

// U'y+ = y
inline void solve_upper_transposed(const Matrix& U, Vector& y) {
  const Index n = U.cols();
  if (n > few_columns) {
    U.triangularView<Eigen::Upper>().transpose().solveInPlace(y);
    return;
  }
  for (Index j = 0; j < n; ++j) {
    const double* const column = U.data() + j * n;
    double rest = y[j];
    for (Index i = 0; i < j; ++i) rest -= column[i] * y[i];
    y[j] = rest / column[j];
  }
}

}  // namespace marquardt
