// min ||A x - b|| by orthogonal factorisations: A P = Q R, x = P R^-1 Q'b; rank-deficient A through A P = Q [T 0; 0 0]
// Z. The rank is decided on the matrix with columns scaled to length 1, so that units of the variables do not count.
// Reference: Golub & Van Loan, Matrix Computations, 4th ed., chapter 5; Higham (2002), chapters 19-20.
#include "marquardt/solve/linear.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <stdexcept>

namespace marquardt {
namespace {

// Column lengths, 1 for a zero column.
Vector column_lengths(const MatrixView& A) {
  Vector lengths(A.cols());
  for (Index j = 0; j < A.cols(); ++j) {
    const double length = A.col(j).stableNorm();
    lengths[j] = length > 0 ? length : 1;
  }
  return lengths;
}

double pivot_condition(const Eigen::ColPivHouseholderQR<Matrix>& qr) {
  const Index k = std::min(qr.rows(), qr.cols());
  const double smallest = std::abs(qr.matrixQR()(k - 1, k - 1));
  return qr.rank() == qr.cols() && smallest > 0 ? qr.maxPivot() / smallest : infinity;
}

void by_qr(const MatrixView& A, const MatrixView& b, double rcond, LinearFit& fit) {
  const Vector lengths = column_lengths(A);
  Eigen::ColPivHouseholderQR<Matrix> qr(A.rows(), A.cols());
  qr.setThreshold(rcond);
  qr.compute(A * lengths.cwiseInverse().asDiagonal());
  fit.rank = qr.rank();
  fit.condition = pivot_condition(qr);
  fit.x = lengths.cwiseInverse().asDiagonal() * qr.solve(b);
}

void by_cod(const MatrixView& A, const MatrixView& b, double rcond, LinearFit& fit) {
  Eigen::CompleteOrthogonalDecomposition<Matrix> cod(A.rows(), A.cols());
  cod.setThreshold(rcond);
  cod.compute(A);
  fit.rank = cod.rank();
  fit.x = cod.solve(b);
}

void by_svd(const MatrixView& A, const MatrixView& b, double rcond, LinearFit& fit) {
  Eigen::BDCSVD<Matrix> svd(A, Eigen::ComputeThinU | Eigen::ComputeThinV);
  svd.setThreshold(rcond);
  fit.rank = svd.rank();
  fit.singular_values = svd.singularValues();
  fit.x = svd.solve(b);
}

void by_cholesky(const MatrixView& A, const MatrixView& b, LinearFit& fit) {
  const Vector inverse = column_lengths(A).cwiseInverse();
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
      if (fit.rank < A.cols()) by_cod(A, b, threshold, fit);
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
  if (fit.singular_values.size() > 0) {
    const double least = fit.singular_values.minCoeff();
    if (least > 0 && fit.rank == A.cols()) fit.condition = fit.singular_values.maxCoeff() / least;
  }
  fit.residuals = b - A * fit.x;
  return fit;
}

}  // namespace marquardt
