// Linear least squares where the rank is in doubt, and the methods that are asked for by name.
#pragma once

#include <Eigen/QR>

#include "marquardt/solve/linear.hpp"

namespace marquardt::linear {

// More undetermined directions than these are counted, not listed.
constexpr Index most_directions = 64;

// Column-pivoted QR of A with columns scaled to length 1 by powers of two: the rank, and the columns that carry it.
class Echelon {
 public:
  Echelon(const Matrix& A, double threshold);
  Index rank() const { return rank_; }
  double condition() const;  // from the pivots; infinite if rank-deficient
  const Eigen::VectorXi& order() const { return qr_.colsPermutation().indices(); }
  // W: a step w of variable order[rank + i] is undone by the steps -w W.col(i) of the first `rank` ones
  Matrix coupling() const;

 private:
  Eigen::ColPivHouseholderQR<Matrix> qr_;
  Vector lengths_;
  Index rank_ = 0;
};

// All fill x, rank, condition and null space; b has as many rows as A.
void solve_deficient(const Matrix& A, const Matrix& b, double threshold, bool basic, LinearFit& fit);
void solve_by_cod(const Matrix& A, const Matrix& b, double threshold, LinearFit& fit);
void solve_by_svd(const Matrix& A, const Matrix& b, double threshold, LinearFit& fit);
void solve_by_cholesky(const Matrix& A, const Matrix& b, LinearFit& fit);

// The null space alone, where it has the dimension that fit.rank leaves it.
void find_null_space(const Matrix& A, double threshold, LinearFit& fit);

}  // namespace marquardt::linear
