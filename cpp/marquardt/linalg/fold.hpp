// Householder QR of a tall matrix, its rows folded into the triangle block by block:
//
//   [R; B] = Q [R+; 0]      reflector k acts on row k of R and on all rows of B, whatever R is
//
// A block stays in cache while all of its reflectors are applied, four at a time, and is overwritten by them, so that
// Q and Q' can be applied later. Costs 2 m n^2 operations however the rows are cut. Every reducer of rows in the
// library is made of these blocks: rows all at once (`factor`) or as they come (`begin`, `add`).
// References: Golub & Van Loan, Matrix Computations, 4th ed., 5.1.7 (block reflectors) and 6.5.3 (rows added).
#pragma once

#include <cmath>
#include <vector>

#include "marquardt/base/types.hpp"

namespace marquardt {

// Any spacing of rows and columns: what NumPy hands over, read as it is.
using StridedView = Eigen::Map<const Matrix, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

inline StridedView strided(const MatrixView& A) {
  return {A.data(), A.rows(), A.cols(), Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>(A.outerStride(), 1)};
}

// Rows first, first + 1, ... of M as columns of their own, `height` apart, read in the order in which they lie in
// memory.
void copy_rows(const StridedView& M, Index first, Index rows, double* to, Index height);

class TallFactor {
 public:
  // Factors M diag(scale) and carries F * factor along: Q'[M diag(scale), F factor] = [R Z; 0 Y]. `scale` may be
  // empty (all ones). Entries must be finite and their squares in range. Without `keep` a single block of storage
  // serves all rows, which stays in cache; then Q cannot be applied.
  void factor(const StridedView& M, const Vector& scale, const StridedView& F, double factor, bool keep);

  // The same for rows as they come, nothing kept: `begin` with a trapezoid of at most n rows (none: R has 0 rows), then
  // `add` as often as there are rows. R has as many rows that are not zero as rows were seen.
  void begin(const MatrixView& R, const MatrixView& Z);
  void add(const StridedView& M, const Vector& scale, const StridedView& F, double factor);
  void absorb(const TallFactor& other);  // as if other's rows had been added here

  const Matrix& R() const { return R_; }                                // n x n upper triangular, zero below
  const Matrix& Z() const { return Z_; }                                // n x k
  double rest(Index column) const { return std::sqrt(rest_[column]); }  // length of a column of Y

  // [top; below] <- Q'[top; below] or Q [top; below]; n and padded() entries, those beyond the rows of M zero.
  void apply_transposed(double* top, double* below) const;
  void apply(double* top, double* below) const;
  Index padded() const { return padded_; }

 private:
  struct Block {
    double* rows;  // columns side by side: the reflectors, then Y
    double* T;     // 4 x n: the triangular factors of the block reflectors
    Index height;  // a multiple of 4
  };
  void lay_out(Index m, Index n, Index k, bool keep);
  void start(const StridedView& M, const Vector& scale, const StridedView& F, double factor, Index taken);
  void fold(const Block& block, const StridedView& M, const Vector& scale, const StridedView& F, double factor,
            Index first);
  void pack();
  void unpack();

  Index n_ = 0, k_ = 0, padded_ = 0;
  Index seen_ = 0;  // rows of R that may not be zero
  bool kept_ = false;
  Matrix R_, Z_;
  Matrix head_;          // the first rows, reduced in place
  Vector coefficients_;  // of their reflectors
  Vector above_;         // [R Z], four rows side by side, while blocks are folded in
  Vector rest_, storage_;
  std::vector<Block> blocks_;
};

}  // namespace marquardt
