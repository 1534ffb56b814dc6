// What do the m rows of [J r] say, in n rows?  After this, every cost is O(n^3) and m is gone.
//
//   triangle:  [J r] = Q [R z; 0 rest]   R upper triangular n x n (zero rows at the bottom when m < n)
//   gram:      H = J'J,  g = J'r
//
// Rows may arrive in any number of blocks, and two accumulators of the same kind can be merged, so rows in
// memory, from a generator, from threads or from a cluster are one code path.
// Reference: Golub & Van Loan, Matrix Computations, 4th ed., sections 5.2 and 6.5 (updating).
#pragma once

#include "marquardt/base/types.hpp"

namespace marquardt {

enum class Form { triangle, gram };

// The rows after reduction. Only the members of its form are filled; g and the column norms always are.
struct Reduced {
  Form form = Form::triangle;
  Index rows = 0;       // m, rows seen
  Matrix R;             // triangle: n x n upper triangular, strictly lower part zero
  Vector z;             // triangle: first n entries of Q'r
  Matrix H;             // gram: n x n, both triangles filled
  Vector g;             // J'r
  Vector column_norms;  // ||J_j||, exact to rounding also in Gram form
  double rr = 0;        // r'r
};

class Accumulator {
 public:
  Accumulator(Form form, Index n);

  void clear();
  void add(const MatrixView& J, const VectorView& r);  // J is k x n, r has k entries, all finite; any k >= 0
  void merge(const Accumulator& other);                // as if other's rows had been added here
  const Reduced& reduced();                            // valid until the next clear, add or merge

  Form form() const { return rows_.form; }
  Index parameters() const { return n_; }

 private:
  using Work = Eigen::Map<Matrix, Eigen::AlignedMax, Eigen::OuterStride<>>;

  void fold_triangle(const MatrixView& J, const VectorView& r, Index above);
  void fold_gram(const MatrixView& J, const VectorView& r);
  Work stack(const MatrixView& J, const VectorView& r, Index above);
  void scale_columns(Work& work);
  void read_triangle(const Work& work);
  bool trustworthy(const MatrixView& J, const VectorView& r) const;

  Index n_;
  Reduced rows_;
  double rest_ = 0;      // triangle: norm of the part of r that no column of J reaches
  bool current_ = true;  // g (triangle) and the upper half of H (gram) are up to date
  Vector buffer_;        // [R z; J r], reduced in place; grows, never shrinks
  Vector coefficients_;  // of the reflectors
  Vector scale_;         // n + 1 powers of two, all 1 unless the entries are extreme
  Vector norms_;         // n + 1 column norms of the folded [R z; 0 rest]
  Matrix candidate_;     // n x (n + 1): [R z] before it is trusted
  double candidate_rest_ = 0;
};

}  // namespace marquardt
