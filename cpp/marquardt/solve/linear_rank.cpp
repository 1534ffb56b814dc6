// Rank-deficient least squares: the columns that carry the rank, chosen by pivoting, are solved for alone; then
//
//   A P = [A1 A2],  A2 = A1 W,  x1 = u - W x2       every x2 fits as well; u solves min ||A1 u - b||
//
// and the x of least norm is found in the undetermined variables x2, or in the row space [I W] if that is smaller.
// References: Golub & Van Loan, Matrix Computations, 4th ed., 5.4-5.5; Higham (2002), chapters 19-20.
#include "marquardt/solve/linear_rank.hpp"

#include <Eigen/Cholesky>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt::linear {
namespace {

// Column lengths, as powers of two: scaling by them costs no digit.
Vector column_lengths(const Matrix& A) {
  Vector lengths(A.cols());
  for (Index j = 0; j < A.cols(); ++j) lengths[j] = 1 / normaliser(A.col(j).stableNorm(), 1000);
  return lengths;
}

// x2 = argmin ||[u; 0] - [W; -I] x2||, the undetermined variables of the shortest x
Matrix shortest_by_null_space(const Matrix& u, const Matrix& W) {
  const Index k = W.rows(), n = k + W.cols();
  Matrix stacked(n, W.cols()), right = Matrix::Zero(n, u.cols()), x(n, u.cols());
  stacked.topRows(k) = W;
  stacked.bottomRows(n - k).setIdentity();
  right.topRows(k) = u;
  x.bottomRows(n - k) = Eigen::HouseholderQR<Matrix>(stacked).solve(right);
  x.topRows(k) = u - W * x.bottomRows(n - k);
  return x;
}

// x = [I W]' ([I W][I W]')^-1 u by QR of [I W]'
Matrix shortest_by_row_space(const Matrix& u, const Matrix& W) {
  const Index k = W.rows(), n = k + W.cols();
  Matrix rows(n, k), x = Matrix::Zero(n, u.cols());
  rows.topRows(k).setIdentity();
  rows.bottomRows(n - k) = W.transpose();
  const Eigen::HouseholderQR<Matrix> qr(rows);
  x.topRows(k) = qr.matrixQR().topRows(k).triangularView<Eigen::Upper>().transpose().solve(u);
  return qr.householderQ() * x;
}

void set_null_space(const Echelon& echelon, const Matrix& W, LinearFit& fit) {
  const Index k = W.rows(), n = k + W.cols();
  fit.null_space.setZero(n, n - k <= most_directions ? n - k : 0);
  for (Index i = 0; i < fit.null_space.cols(); ++i) {
    for (Index p = 0; p < k; ++p) fit.null_space(echelon.order()[p], i) = -W(p, i);
    fit.null_space(echelon.order()[k + i], i) = 1;
  }
}

}  // namespace

Echelon::Echelon(const Matrix& A, double threshold) : qr_(A.rows(), A.cols()), lengths_(column_lengths(A)) {
  qr_.setThreshold(threshold);
  qr_.compute(A * lengths_.cwiseInverse().asDiagonal());
  rank_ = qr_.rank();
}

double Echelon::condition() const {
  const double smallest = rank_ > 0 ? std::abs(qr_.matrixQR()(rank_ - 1, rank_ - 1)) : 0;
  return rank_ == qr_.cols() && smallest > 0 ? qr_.maxPivot() / smallest : infinity;
}

Matrix Echelon::coupling() const {
  const Index k = rank_, rest = qr_.cols() - k;
  const Vector in_order = qr_.colsPermutation().transpose() * lengths_;
  // In scaled variables an entry this small is rounding; in the units of x it might outweigh everything.
  const double noise = static_cast<double>(qr_.cols()) * epsilon;
  Matrix W =
      qr_.matrixQR().topLeftCorner(k, k).triangularView<Eigen::Upper>().solve(qr_.matrixQR().topRightCorner(k, rest));
  for (Index i = 0; i < rest; ++i) {
    for (Index p = 0; p < k; ++p) {
      W(p, i) = std::abs(W(p, i)) > noise ? W(p, i) / in_order[p] * in_order[k + i] : 0;
    }
  }
  return W;
}

void solve_deficient(const Matrix& A, const Matrix& b, double threshold, bool basic, LinearFit& fit) {
  const Echelon echelon(A, threshold);
  const Index n = A.cols(), k = echelon.rank();
  Matrix u = Matrix::Zero(k, b.cols());
  if (k > 0) {
    Matrix carriers(A.rows(), k);
    for (Index p = 0; p < k; ++p) carriers.col(p) = A.col(echelon.order()[p]);
    LinearFit part;
    LinearSolver({LinearMethod::qr, 0}).solve(strided(carriers), strided(b), part);
    u = part.x;
  }
  const Matrix W = echelon.coupling();
  Matrix x = Matrix::Zero(n, b.cols());
  if (basic || k == 0) {
    x.topRows(k) = u;
  } else {
    x = n - k <= k ? shortest_by_null_space(u, W) : shortest_by_row_space(u, W);
  }
  fit.x.resize(n, b.cols());
  for (Index p = 0; p < n; ++p) fit.x.row(echelon.order()[p]) = x.row(p);
  fit.rank = k;
  fit.condition = echelon.condition();
  set_null_space(echelon, W, fit);
}

void find_null_space(const Matrix& A, double threshold, LinearFit& fit) {
  if (fit.rank == A.cols() || A.cols() - fit.rank > most_directions) return;
  const Echelon echelon(A, threshold);
  if (echelon.rank() == fit.rank) set_null_space(echelon, echelon.coupling(), fit);
}

void solve_by_cod(const Matrix& A, const Matrix& b, double threshold, LinearFit& fit) {
  Eigen::CompleteOrthogonalDecomposition<Matrix> cod(A.rows(), A.cols());
  cod.setThreshold(threshold);
  const double size = normaliser(A.cwiseAbs().maxCoeff(), 1000);  // of the whole matrix: minimum norm is that of x
  cod.compute(A * size);
  fit.rank = cod.rank();
  fit.x = cod.solve(b) * size;
  fit.condition = fit.rank == A.cols() ? Echelon(A, threshold).condition() : infinity;
  find_null_space(A, threshold, fit);
}

void solve_by_svd(const Matrix& A, const Matrix& b, double threshold, LinearFit& fit) {
  Eigen::BDCSVD<Matrix> svd(A, Eigen::ComputeThinU | Eigen::ComputeThinV);
  svd.setThreshold(threshold);
  fit.rank = svd.rank();
  fit.singular_values = svd.singularValues();
  fit.x = svd.solve(b);
  fit.condition = fit.rank == A.cols() ? Echelon(A, threshold).condition() : infinity;
  find_null_space(A, threshold, fit);
}

void solve_by_cholesky(const Matrix& A, const Matrix& b, LinearFit& fit) {
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
  fit.triangle = Matrix(llt.matrixU()) * inverse.cwiseInverse().asDiagonal();
}

}  // namespace marquardt::linear
