// min ||A x - b|| by orthogonal factorisations: A P = Q R, x = P R^-1 Q'b; rank-deficient A through A P = Q [T 0; 0 0]
// Z. The rank is decided on the matrix with columns scaled to length 1, so that units of the variables do not count.
// Reference: Golub & Van Loan, Matrix Computations, 4th ed., chapter 5; Higham (2002), chapters 19-20.
#include "marquardt/solve/linear.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace marquardt {
namespace {

// The power of two next to a length, whose multiplication is exact; 1 for zero. Its inverse has to be finite too.
double power_of_two(double length) {
  int exponent = 0;
  if (length > 0) std::frexp(length, &exponent);
  return std::ldexp(1.0, std::clamp(exponent, -1000, 1000));
}

// Column lengths, as powers of two: scaling by them costs no digit.
Vector column_lengths(const MatrixView& A) {
  Vector lengths(A.cols());
  for (Index j = 0; j < A.cols(); ++j) lengths[j] = power_of_two(A.col(j).stableNorm());
  return lengths;
}

double pivot_condition(const Eigen::ColPivHouseholderQR<Matrix>& qr) {
  const Index k = std::min(qr.rows(), qr.cols());
  const double smallest = std::abs(qr.matrixQR()(k - 1, k - 1));
  return qr.rank() == qr.cols() && smallest > 0 ? qr.maxPivot() / smallest : infinity;
}

// Two steps of refinement of the augmented system  r + A x = b,  A'r = 0  with its residuals in extended precision:
// x becomes as good as if A and b were known to twice the digits, whatever the size of r (Bjorck 1967, Iterative
// refinement of linear least squares solutions). Full column rank; S = A diag(scale) is what `qr` factors. Where
// long double is double nothing is lost, and nothing gained.
void refine(const Matrix& S, const MatrixView& b, const Eigen::ColPivHouseholderQR<Matrix>& qr, Matrix& y) {
  using Extended = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
  const Index n = S.cols();
  const auto R = qr.matrixQR().topRows(n).triangularView<Eigen::Upper>();
  const auto P = qr.colsPermutation();
  const Extended A = S.cast<long double>(), rhs = b.cast<long double>();
  Extended r = rhs - A * y.cast<long double>(), x = y.cast<long double>();
  for (int step = 0; step < 2; ++step) {
    const Matrix f1 = (rhs - r - A * x).cast<double>(), f2 = -(A.transpose() * r).cast<double>();
    const Matrix h = R.transpose().solve(P.transpose() * f2);
    Matrix g = qr.householderQ().adjoint() * f1;
    const Matrix dx = P * R.solve(g.topRows(n) - h);
    g.topRows(n) = h;
    const Matrix dr = qr.householderQ() * g;
    if (!dx.allFinite() || !dr.allFinite()) return;
    x += dx.cast<long double>();
    r += dr.cast<long double>();
  }
  y = x.cast<double>();
}

void by_qr(const MatrixView& A, const MatrixView& b, double rcond, LinearFit& fit) {
  const Vector lengths = column_lengths(A);
  Eigen::ColPivHouseholderQR<Matrix> qr(A.rows(), A.cols());
  qr.setThreshold(rcond);
  const Matrix scaled = A * lengths.cwiseInverse().asDiagonal();
  qr.compute(scaled);
  fit.rank = qr.rank();
  fit.condition = pivot_condition(qr);
  // The basic solution: the leading rank x rank triangle, the other variables at 0.
  const Index k = fit.rank;
  const Matrix rhs = qr.householderQ().adjoint() * b;
  Matrix y = Matrix::Zero(A.cols(), b.cols());
  y.topRows(k) = qr.matrixQR().topLeftCorner(k, k).triangularView<Eigen::Upper>().solve(rhs.topRows(k));
  y = qr.colsPermutation() * y;
  if (k == A.cols()) refine(scaled, b, qr, y);
  fit.x = lengths.cwiseInverse().asDiagonal() * y;
}

// The minimum-norm solution with the rank decided on the scaled matrix: of all y1 = R11^-1 (c - R12 y2) the one for
// which x = y / lengths is shortest, a least-squares problem in the undetermined variables alone.
void by_scaled_minimum_norm(const MatrixView& A, const MatrixView& b, double rcond, LinearFit& fit) {
  const Vector lengths = column_lengths(A);
  const Matrix scaled = A * lengths.cwiseInverse().asDiagonal();
  Eigen::ColPivHouseholderQR<Matrix> qr(A.rows(), A.cols());
  qr.setThreshold(rcond);
  qr.compute(scaled);
  const Index n = A.cols(), k = qr.rank();
  const Vector in_order = qr.colsPermutation().transpose() * lengths;
  const Matrix c = qr.householderQ().adjoint() * b;
  const auto R11 = qr.matrixQR().topLeftCorner(k, k).triangularView<Eigen::Upper>();
  const auto to_x1 = in_order.head(k).cwiseInverse().asDiagonal();
  const Matrix u = to_x1 * R11.solve(c.topRows(k));
  // In scaled variables an entry this small is rounding; in the units of x it might outweigh everything.
  const double noise = static_cast<double>(n) * epsilon;
  const Matrix coupling = R11.solve(qr.matrixQR().topRightCorner(k, n - k)).unaryExpr([noise](double w) {
    return std::abs(w) > noise ? w : 0.0;
  });
  Matrix W(n, n - k), right = Matrix::Zero(n, b.cols());
  W.topRows(k) = to_x1 * coupling * in_order.tail(n - k).asDiagonal();
  W.bottomRows(n - k).setIdentity();
  right.topRows(k) = u;
  Matrix x(n, b.cols());
  x.bottomRows(n - k) = Eigen::HouseholderQR<Matrix>(W).solve(right);
  x.topRows(k) = u - W.topRows(k) * x.bottomRows(n - k);
  fit.rank = k;
  fit.x = qr.colsPermutation() * x;
}

double scaled_condition(const MatrixView& A, double rcond) {
  const Vector lengths = column_lengths(A);
  Eigen::ColPivHouseholderQR<Matrix> qr(A.rows(), A.cols());
  qr.setThreshold(rcond);
  return pivot_condition(qr.compute(A * lengths.cwiseInverse().asDiagonal()));
}

void by_cod(const MatrixView& A, const MatrixView& b, double rcond, LinearFit& fit) {
  Eigen::CompleteOrthogonalDecomposition<Matrix> cod(A.rows(), A.cols());
  cod.setThreshold(rcond);
  const double size = power_of_two(A.cwiseAbs().maxCoeff());  // of the whole matrix: minimum norm is that of x
  cod.compute(A / size);
  fit.rank = cod.rank();
  fit.x = cod.solve(b) / size;
  if (fit.rank == A.cols()) fit.condition = scaled_condition(A, rcond);
}

void by_svd(const MatrixView& A, const MatrixView& b, double rcond, LinearFit& fit) {
  Eigen::BDCSVD<Matrix> svd(A, Eigen::ComputeThinU | Eigen::ComputeThinV);
  svd.setThreshold(rcond);
  fit.rank = svd.rank();
  fit.singular_values = svd.singularValues();
  fit.x = svd.solve(b);
  if (fit.rank == A.cols()) fit.condition = scaled_condition(A, rcond);
}

void by_cholesky(const MatrixView& A, const MatrixView& b, LinearFit& fit) {
  const Vector inverse = column_lengths(A).cwiseInverse();  // exact, like the lengths
  const Matrix scaled = A * inverse.asDiagonal();
  const Eigen::LLT<Matrix> llt(Matrix(scaled.transpose() * scaled));
  const Vector pivots = llt.matrixLLT().diagonal();
  // A squared pivot below n eps is noise of the normal equations.
  const double least = std::sqrt(static_cast<double>(A.cols()) * epsilon);
  if (llt.info() != Eigen::Success || !(pivots.minCoeff() > least)) {
    throw std::invalid_argument(
        "method 'cholesky' needs a matrix A of full column rank with condition below about 1e7: use 'auto'");
  }
  fit.rank = A.cols();
  fit.condition = pivots.maxCoeff() / pivots.minCoeff();
  fit.x = inverse.asDiagonal() * llt.solve(scaled.transpose() * b);
}

}  // namespace

LinearFit solve_linear(const MatrixView& A, const MatrixView& b, double rcond, LinearMethod method) {
  const double threshold = rcond < 0 ? static_cast<double>(std::max(A.rows(), A.cols())) * epsilon : rcond;
  LinearFit fit;
  switch (method) {
    case LinearMethod::automatic:
      by_qr(A, b, threshold, fit);
      if (fit.rank < A.cols()) by_scaled_minimum_norm(A, b, threshold, fit);
      break;
    case LinearMethod::qr:
      by_qr(A, b, threshold, fit);
      break;
    case LinearMethod::cod:
      by_cod(A, b, threshold, fit);
      break;
    case LinearMethod::svd:
      by_svd(A, b, threshold, fit);
      break;
    case LinearMethod::cholesky:
      by_cholesky(A, b, fit);
      break;
  }
  fit.residuals = b - A * fit.x;
  return fit;
}

}  // namespace marquardt
