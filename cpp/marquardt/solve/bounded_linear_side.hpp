// One bounded problem in units in which every number is near one, and what its three solvers share: which variables are
// held, the gradient, what of it counts as zero. The letters are those of bounded_linear.cpp.
#pragma once

#include <vector>

#include "marquardt/base/types.hpp"

namespace marquardt::bounded {

using Columns = std::vector<Index>;

// The rows of S and b, or of their triangle, shared by all right-hand sides.
struct Rows {
  Rows(Matrix A, Matrix b);

  // From here on at most n rows. Nothing is lost but the part of b that no column reaches.
  void triangularise();

  Matrix S, B;
  Vector units;      // D
  Vector squares;    // of the lengths of S's columns
  double dependent;  // a column's part outside of others, relative to its length, that counts as none
};

// One right-hand side in those units.
struct Side {
  // beta: b, or how far from the origin the box keeps A x, whichever is larger.
  Side(const Rows& rows, Index k, const VectorView& lower_bounds, const VectorView& upper_bounds);

  Vector z, lower, upper, y, g, r;  // r = z - S y, as g is of the last measure()
  Eigen::VectorXi active;           // the working set
  Eigen::VectorXi parked;           // 1: held although inside its bounds, its column depends on free ones
  double beta = 1, norm_z = 0;
  int iterations = 0;
  Index rank = 0;
  bool deficient = false;  // some variables are parked
  bool regular = false;    // blocks solved it

  double size() const { return norm_z + y.cwiseAbs().sum(); }  // of the terms of g: columns are at most 1 long
  double wrong(Index j) const;                                 // |g_j| if it breaks the first-order conditions
  double worst() const;
  double tolerance() const;  // what rounding leaves of a gradient that is zero
  void hold(Index j, int where_to);
  void put_on_bounds();  // y into the box; where it touches a bound, held
};

// The variables that are free, or those that are not.
Columns where(const Eigen::VectorXi& active, bool free);

Matrix gather(const Matrix& S, const Columns& columns);

// z - S_H y_H: what is left for the free columns.
Vector remainder(const Matrix& S, const Side& side);

// r and g afresh.
void measure(const Matrix& S, Side& side);

// Smallest singular value of the lower triangle L over that of its longest row, to a factor of a few.
double inverse_condition(const Matrix& L);

}  // namespace marquardt::bounded
