// The quick way to the active set of a bounded problem: sweeps over the variables, then all wrong ones change sides at
// once. Right where the columns are well conditioned; where it fails, bounded_linear_exchanges.hpp does not.
#pragma once

#include "marquardt/solve/bounded_linear_side.hpp"

namespace marquardt::bounded {

// Products of the columns that were ever free, kept for all right-hand sides.
class Products {
 public:
  explicit Products(const Matrix& S) : S_(S) {}

  // L L' = the products of these columns. False if they depend on each other to the rounding of products.
  bool factor(const Columns& columns, Matrix& L);

  // The same of few columns first, then twice as many each time: dependent ones are found out before all products are
  // formed.
  bool factor_by_doubling(const Columns& columns, Matrix& L);

 private:
  Index at(const Columns& columns, Index a) const {
    return place_[static_cast<std::size_t>(columns[static_cast<std::size_t>(a)])];
  }
  void admit(const Columns& columns);

  const Matrix& S_;
  Matrix F_, G_;   // those columns; F'F, the lower triangle counts
  Columns place_;  // of each variable in F_; -1: never free
};

// Columns whose regularity (inverse_condition) exceeds this are known as well by their products: the square leaves half
// of the digits, and one corrected step brings back the other half.
constexpr double regular = 1e-4;

// Each variable in turn to its own minimiser, within its bounds, a few times over.
void sweep(const Rows& rows, Side& side);

enum class Blocks {
  settled,
  failed,    // blocks cycle, or columns are too nearly dependent for products; y is back where it was
  dependent  // the columns free at the start depend on each other
};

// Faces until none is wrong, from the working set there is. `warm`: the set is probably right, so that ill-conditioned
// columns are worth a QR; otherwise they are left to exchanges at once.
Blocks settle_blocks(const Rows& rows, Products& products, bool warm, Side& side);

}  // namespace marquardt::bounded
