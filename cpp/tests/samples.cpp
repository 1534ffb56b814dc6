#include "samples.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <cmath>

namespace samples {

Matrix uniform(Index rows, Index cols, std::uint64_t seed) {
  std::uint64_t state = 2 * seed + 1;
  Matrix A(rows, cols);
  for (Index j = 0; j < cols; ++j) {
    for (Index i = 0; i < rows; ++i) {  // splitmix64 (Steele, Lea & Flood 2014)
      std::uint64_t u = (state += 0x9e3779b97f4a7c15U);
      u = (u ^ (u >> 30)) * 0xbf58476d1ce4e5b9U;
      u = (u ^ (u >> 27)) * 0x94d049bb133111ebU;
      u ^= u >> 31;
      A(i, j) = 2 * (static_cast<double>(u >> 11) + 0.5) / 9007199254740992.0 - 1;  // 2^53
    }
  }
  return A;
}

Matrix with_singular_values(Index m, const Vector& sigma, std::uint64_t seed) {
  const Index n = sigma.size();
  const LongMatrix a = uniform(m, n, seed).cast<Long>(), b = uniform(n, n, seed + 1000).cast<Long>();
  const LongMatrix U = Eigen::HouseholderQR<LongMatrix>(a).householderQ() * LongMatrix::Identity(m, n);
  const LongMatrix V = Eigen::HouseholderQR<LongMatrix>(b).householderQ() * LongMatrix::Identity(n, n);
  return (U * sigma.cast<Long>().asDiagonal() * V.transpose()).cast<double>();
}

Vector spread(Index n, double condition) {
  Vector sigma(n);
  for (Index i = 0; i < n; ++i) {
    sigma[i] = n == 1 ? 1 : std::pow(condition, -static_cast<double>(i) / static_cast<double>(n - 1));
  }
  return sigma;
}

LongVector exact_step(const Matrix& A, const Vector& z, const Vector& C, double alpha) {
  const Index m = A.rows(), n = A.cols();
  if (alpha > A.squaredNorm() + C.sum()) {  // well conditioned: the normal equations are the more accurate way
    LongMatrix B = A.cast<Long>().transpose() * A.cast<Long>();
    B.diagonal() += C.cast<Long>();
    B.diagonal().array() += static_cast<Long>(alpha);
    return -B.llt().solve(A.cast<Long>().transpose() * z.cast<Long>());
  }
  LongMatrix stack = LongMatrix::Zero(m + 2 * n, n);
  LongVector right = LongVector::Zero(m + 2 * n);
  stack.topRows(m) = A.cast<Long>();
  stack.middleRows(m, n).diagonal() = C.cast<Long>().cwiseSqrt();
  stack.bottomRows(n).diagonal().setConstant(std::sqrt(static_cast<Long>(alpha)));
  right.head(m) = -z.cast<Long>();
  Eigen::CompleteOrthogonalDecomposition<LongMatrix> cod;
  cod.setThreshold(1e-14L);
  cod.compute(stack);
  return cod.solve(right);
}

double error(const Vector& a, const LongVector& b) {
  const Long size = b.norm();
  return static_cast<double>((a.cast<Long>() - b).norm() / (size > 0 ? size : 1));
}

double error(const Vector& a, const Vector& b) { return error(a, LongVector(b.cast<Long>())); }

marquardt::Reduced reduce(marquardt::Form form, const Matrix& J, const Vector& r) {
  marquardt::Accumulator accumulator(form, J.cols());
  accumulator.add(J, r);
  return accumulator.reduced();
}

}  // namespace samples
