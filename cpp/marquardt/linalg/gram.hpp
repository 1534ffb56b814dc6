// Sums of products of the columns of a tall matrix:  S += [J r]'[J r], the lower half of S.
//
// Rows are taken in blocks that stay in cache. Few columns are read where they are if they lie column by column, else a
// block at a time is laid out so; many are packed a block at a time, from any layout to the same bits. Where the
// processor has AVX2 and FMA the loops run twice as wide (lanes.hpp).
#pragma once

#include <vector>

#include "marquardt/linalg/fold.hpp"

namespace marquardt {

class GramSum {
 public:
  void add(const StridedView& J, const VectorView& r, Matrix& S);  // S is (n + 1) x (n + 1)

 private:
  void add_in_place(const StridedView& J, const VectorView& r, Matrix& S);
  void add_packed(const StridedView& J, const VectorView& r, Matrix& S);

  std::vector<const double*> columns_;
  Vector storage_;
};

}  // namespace marquardt
