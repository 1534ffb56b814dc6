// What do the m rows of [J r] say, in n rows?  After this, every cost is O(n^3) and m is gone.
//
//   triangle:  [J r] = Q [R z; 0 rest]   R upper triangular n x n (zero rows at the bottom when m < n)
//   gram:      H = J'J,  g = J'r
//
// Rows may arrive in any number of blocks, and two accumulators of the same kind can be merged, so rows in
// memory, from a generator, from threads or from a cluster are one code path.
// Reference: Golub & Van Loan, Matrix Computations, 4th ed., sections 5.2 and 6.5 (updating).
#pragma once

#include <vector>

#include "marquardt/base/types.hpp"
#include "marquardt/linalg/fold.hpp"
#include "marquardt/linalg/gram.hpp"

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

  // What is found out where the form is chosen (safe_rows.hpp): else sigma is negative, and L says nothing.
  double sigma = -1;  // the smallest singular value of J with its columns scaled to length 1, estimated
  Matrix L;           // J'J = diag(column_norms) L L' diag(column_norms), L lower triangular; where sigma > 0
};

// All but sigma and L. What `to` has of the other form stays as it is, for a point that may want its memory again.
void copy(const Reduced& from, Reduced& to);

class Accumulator {
 public:
  // With more than one thread, rows that take over about 3 ms are split among as many, which adds a few rows of
  // arithmetic; equal counts of threads give equal bits.
  Accumulator(Form form, Index n, Index threads = 1);

  void clear();
  // J is k x n, in memory in any order, r has k entries; any k >= 0. Entries are finite, or else the norms of their
  // columns are not.
  void add(const StridedView& J, const VectorView& r);
  void add(const MatrixView& J, const VectorView& r) { add(strided(J), r); }
  void merge(const Accumulator& other);                              // as if other's rows had been added here
  const Reduced& reduced();                                          // valid until the next clear, add or merge
  const Reduced& reduce(const StridedView& J, const VectorView& r);  // these rows alone: clear, add, reduced

  double rest() const { return rest_; }  // triangle: the norm of the part of r that no column of J reaches

  Form form() const { return rows_.form; }
  Index parameters() const { return n_; }
  Index threads() const { return threads_; }
  void use_threads(Index threads) { threads_ = threads; }

 private:
  // What a thread reduces its share of the rows with, and to.
  struct Worker {
    TallFactor tall;
    GramSum gram;
    Matrix S;
  };

  Index shares(Index rows);
  void fold_triangle(const StridedView& J, const VectorView& r, Index above);
  void fold_scaled(const StridedView& J, const VectorView& r, Index above);
  void scale_columns(const StridedView& J, const VectorView& r);
  void read_triangle();
  bool trustworthy(const StridedView& J, const VectorView& r) const;
  void fold_gram(const StridedView& J, const VectorView& r);

  Index n_, threads_;
  Reduced rows_;
  Matrix S_;             // gram: the lower half of [J r]'[J r]
  double rest_ = 0;      // triangle: norm of the part of r that no column of J reaches
  bool current_ = true;  // g (triangle), H, g and rr (gram) are up to date
  Vector scale_;         // of the columns of J: powers of two; empty unless entries are extreme
  double r_scale_ = 1;   // of r
  Vector norms_;         // n + 1 column norms of the folded [R z; 0 rest]
  double candidate_rest_ = 0;
  std::vector<Worker> workers_;  // as many as there ever were shares
};

}  // namespace marquardt
