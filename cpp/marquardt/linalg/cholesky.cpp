// A = LL', left-looking in panels: within one, four earlier columns are subtracted per pass, which up to about n = 150
// beats Eigen's blocks (twice as fast at n = 50, plain SSE2); what follows a panel hears of it in one product.
// Reference: Golub & Van Loan, Matrix Computations, 4th ed., 4.2.
#include "marquardt/linalg/cholesky.hpp"

#include <algorithm>
#include <cmath>

namespace marquardt {
namespace {

// Column j of the factor, from row j down, given the columns from `left` to j - 1 and what those before have taken.
void eliminate(MatrixBlock& A, Index left, Index j) {
  const Index m = A.rows() - j;
  auto column = A.col(j).tail(m);
  const auto earlier = [&A, m](Index c) { return A.col(c).tail(m); };
  Index k = left;
  for (; k + 4 <= j; k += 4) {
    column -= A(j, k) * earlier(k) + A(j, k + 1) * earlier(k + 1) + A(j, k + 2) * earlier(k + 2) +
              A(j, k + 3) * earlier(k + 3);
  }
  for (; k < j; ++k) column -= A(j, k) * earlier(k);
}

}  // namespace

bool cholesky(MatrixBlock A, const double* least) {
  const Index n = A.rows();
  for (Index left = 0; left < n; left += cholesky_panel) {
    const Index right = std::min(n, left + cholesky_panel), rest = n - right;
    for (Index j = left; j < right; ++j) {
      eliminate(A, left, j);
      if (!(A(j, j) > least[j])) return false;
      A(j, j) = std::sqrt(A(j, j));
      A.col(j).tail(n - j - 1) *= 1 / A(j, j);
    }
    if (rest == 0) continue;
    A.bottomRightCorner(rest, rest)
        .selfadjointView<Eigen::Lower>()
        .rankUpdate(A.block(right, left, rest, right - left), -1);
  }
  return true;
}

}  // namespace marquardt
