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

// y = L^-1 e, each e_k = +-1 such that |y_k| is the larger: the right-hand side of condition estimates. Until its turn
// comes an entry of y holds what those before add to its row.
inline void solve_growing(const Matrix& L, Vector& y) {
  const Index n = L.cols();
  y.setZero(n);
  for (Index k = 0; k < n; ++k) {
    y[k] = ((y[k] > 0 ? -1 : 1) - y[k]) / L(k, k);
    y.tail(n - k - 1) += y[k] * L.col(k).tail(n - k - 1);
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
