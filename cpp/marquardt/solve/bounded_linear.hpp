// min 1/2 ||A x - b||^2 in a box lower <= x <= upper (nnls: lower = 0, upper = infinity), for every column of b. Exact:
// variables on a bound lie on it to the last bit, the free ones solve their least-squares problem by orthogonal
// transformations, and the first-order conditions are measured on A itself.
// References: Lawson & Hanson (1974), Solving Least Squares Problems, chapter 23; Stark & Parker (1995),
// Bounded-variable least squares: an algorithm and applications, Computational Statistics 10, 129-141.
#pragma once

#include <vector>

#include "marquardt/base/types.hpp"

namespace marquardt {

enum class BoundedStatus {
  solved,         // the first-order conditions hold to rounding
  unconstrained,  // they do, and no bound holds the solution
  limit,          // max_exchanges reached: x is the best feasible point so far
  stalled,        // rounding or overflow stood in the way
};

// A column of everything per right-hand side.
struct BoundedFit {
  Matrix x;                           // n x k
  Matrix gradient;                    // A'(A x - b): the multiplier of a lower bound, or minus that of an upper one
  Eigen::MatrixXi active;             // -1, 0, +1: at the lower bound, free, at the upper bound
  Vector kkt;                         // largest violation |g_j| over ||A_j|| (||b|| + sum_i ||A_i|| |x_i|)
  Vector optimality;                  // largest violation |g_j|
  Eigen::VectorXi iterations, ranks;  // least-squares systems solved; rank of the free columns
  std::vector<bool> unique;           // proven: the free columns, and those held without force, are independent
  std::vector<BoundedStatus> status;
};

// `start` is empty, n x 1 or n x k: where it lies on its bounds these are held first, and if they are the right ones a
// single system is solved. At most `max_exchanges` bounds change one by one, after the blocks that usually settle it.
// A, b and the bounds are finite or, for bounds, infinite outwards; lower <= upper; any shape, also empty.
BoundedFit solve_bounded(Matrix A, Matrix B, const VectorView& lower, const VectorView& upper, const MatrixView& start,
                         int max_exchanges);

// [R Z] becomes the triangle of [R Z; J B] (n columns of J; at most n rows): rows in blocks, A never whole.
void fold_rows(const MatrixView& J, const MatrixView& B, Matrix& R, Matrix& Z);

}  // namespace marquardt
