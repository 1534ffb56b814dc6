// A = LL' in place, and systems with L: from a few columns to a few hundred.
#pragma once

#include "marquardt/linalg/product.hpp"

namespace marquardt {

using MatrixBlock = Eigen::Ref<Matrix, 0, Eigen::OuterStride<>>;

// Columns factored one after the other before the rest of the matrix hears of them.
constexpr Index cholesky_panel = 64;

// The lower triangle of A, in place; what is above stays. False at the first pivot L_jj^2 that is not above least[j].
bool cholesky(MatrixBlock A, const double* least);

// L y+ = y
inline void solve_lower(const Matrix& L, Vector& y) {
  const Index n = L.cols();
  if (n > few_columns) {
    L.triangularView<Eigen::Lower>().solveInPlace(y);
    return;
  }
  for (Index j = 0; j < n; ++j) {
    const double* const column = L.data() + j * n;
    y[j] /= column[j];
    for (Index i = j + 1; i < n; ++i) y[i] -= column[i] * y[j];
  }
}

// L'y+ = y
inline void solve_lower_transposed(const Matrix& L, Vector& y) {
  const Index n = L.cols();
  if (n > few_columns) {
    L.triangularView<Eigen::Lower>().transpose().solveInPlace(y);
    return;
  }
  for (Index j = n; j-- > 0;) {
    const double* const column = L.data() + j * n;
    double rest = y[j];
    for (Index i = j + 1; i < n; ++i) rest -= column[i] * y[i];
    y[j] = rest / column[j];
  }
}

}  // namespace marquardt
