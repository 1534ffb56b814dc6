// Residuals of a tall linear system in twice the digits, as refinement needs them:
//
//   r = s - A x        y = A'w                 all of s, x, w, r, y unevaluated sums of two doubles
//
// Both in one sweep over the rows of A, which are read once, a piece that fits the cache at a time.
#pragma once

#include <algorithm>

#include "marquardt/linalg/fold.hpp"

namespace marquardt {

// Numbers high + low, high their rounded value
struct PairVector {
  Vector high, low;
  void resize(Index n) { high.resize(n), low.resize(n); }
  void set_zero(Index n) { high.setZero(n), low.setZero(n); }
  void add(Index i, double step);
};

class LongResidual {
 public:
  // From here on for A diag(scale), whose columns have these lengths. `scale` may be empty (all ones). Refers to all.
  void begin(const StridedView& A, const Vector& scale, const Vector& lengths);

  // r = s - A x and y = A'w. Without w: y = A'r.
  void sweep(const PairVector& s, const PairVector& x, const PairVector* w, PairVector& r, PairVector& y);

  // r -= A x, a small x, so that double precision will do
  void subtract(const Vector& x, Vector& r);

 private:
  Index height(Index piece) const { return std::min(rows_, m_ - piece * rows_); }
  void load(Index piece);

  const double* A_ = nullptr;
  Index m_ = 0, n_ = 0, step_ = 0, stride_ = 0;
  const Vector *scale_ = nullptr, *lengths_ = nullptr;
  Index rows_ = 0, loaded_ = -1;
  Vector piece_, work_;
};

}  // namespace marquardt
