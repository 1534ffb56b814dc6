// Many plain systems of one shape.
#pragma once

#include "marquardt/solve/linear.hpp"

namespace marquardt {

// `count` systems one after the other, each in C order: A is m x n, b is m x k; m >= n >= 1, k >= 1.
struct LinearStack {
  const double *A, *b;
  Index count, m, n, k;
};

// Where the fields of a LinearFit go, for each system in C order.
struct LinearStackFit {
  double *x, *residuals, *cost, *rank, *condition, *triangle;
};

// As LinearSolver solves them one by one with method `automatic`, to rounding. Small ones are solved four at a time.
// Returns how many were solved: `count`, or the place of the first that is not finite.
Index solve_stack(const LinearStack& stack, double rcond, const LinearStackFit& fit);

}  // namespace marquardt
