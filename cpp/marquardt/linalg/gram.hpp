// Sums of products of the columns of a tall matrix:  S += [J r]'[J r], the lower half of S.
//
// Rows are taken in blocks that stay in cache; where they lie column by column they are read where they are, else a
// block at a time is laid out so. Where the processor has AVX2 and FMA the loops run twice as wide (lanes.hpp).
#pragma once

#include <vector>

#include "marquardt/linalg/fold.hpp"

namespace marquardt {

class GramSum {
 public:
  void add(const StridedView& J, const VectorView& r, Matrix& S);  // S is (n + 1) x (n + 1)

 private:
  std::vector<const double*> columns_;
  Vector storage_;
};

}  // namespace marquardt
