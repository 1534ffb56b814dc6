// Linear least squares: min ||A x - b||, the x of least norm where many are as good.
#pragma once

#include "marquardt/base/types.hpp"

namespace marquardt {

enum class LinearMethod { automatic, qr, cod, svd, cholesky };

struct LinearFit {
  Matrix x;          // n x k, a column per right-hand side
  Matrix residuals;  // b - A x, m x k
  Index rank = 0;
  double condition = infinity;  // estimate for A with columns scaled to length 1: what the digits of x depend on
  Vector singular_values;       // method svd only
};

// `rcond` < 0: max(m, n) * epsilon. Directions whose pivot or singular value is below rcond times the largest are
// treated as undetermined.
//   qr         column-pivoted QR, basic solution when rank-deficient (undetermined variables at 0)
//   cod        complete orthogonal decomposition, minimum norm
//   svd        singular values, minimum norm
//   cholesky   normal equations, full column rank only; throws std::invalid_argument otherwise
//   automatic  QR of the column-scaled matrix, which decides the rank whatever the units; minimum norm
LinearFit solve_linear(const MatrixView& A, const MatrixView& b, double rcond, LinearMethod method);

}  // namespace marquardt
