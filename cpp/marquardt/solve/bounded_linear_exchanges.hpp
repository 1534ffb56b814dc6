// The sure way to the active set of a bounded problem: one variable at a time, on an orthogonal factor of the free
// columns.
#pragma once

#include "marquardt/solve/bounded_linear_side.hpp"

namespace marquardt::bounded {

// Q T = the columns in it, Q orthonormal to rounding, T upper triangular; columns come and go.
class Basis {
 public:
  explicit Basis(const Matrix& S, double dependent);

  Index rank() const { return static_cast<Index>(columns_.size()); }
  const Columns& columns() const { return columns_; }
  Index variable(Index position) const { return columns_[static_cast<std::size_t>(position)]; }
  auto Q() const { return Q_.leftCols(rank()); }
  auto T() const { return T_.topLeftCorner(rank(), rank()).triangularView<Eigen::Upper>(); }

  // Column j of S becomes the last. False if it depends on those there to rounding.
  bool enter(Index j);

  // Without the column at this position. w = Q'c becomes that of c less `value` times the column.
  void leave(Index position, double value, Vector& w);

 private:
  const Matrix& S_;
  double dependent_;
  Matrix Q_, T_;
  Vector h_;
  Columns columns_;
};

// Minimises from side.y and its working set, or, where the columns free there depend on each other, says so in
// usable(). The residual falls strictly from face to face, so none comes twice.
class Exchanges {
 public:
  Exchanges(const Rows& rows, Side& side);

  // False if a column that should be free depends on others: its variable is parked where it is.
  bool usable() const { return (side_.parked.array() == 0).all(); }

  // False if the limit was reached first; the point is the best so far either way.
  bool run(int limit);

  // Of all points of the same residual, y moves to the shortest in the units of x if that is inside the bounds.
  void shorten(const Vector& units);

  // Takes what many exchanges left of rounding out of y; r and g are measured here. False if y stays because another
  // variable has met its wall: run() again.
  bool refine();

  const Basis& basis() const { return basis_; }

 private:
  bool enter(Index j);
  bool minimise_face();
  Index worst_candidate();
  Index worst_of_all();
  Index most_wrong();
  bool eligible(Index j) const {
    return (side_.active[j] != 0 || side_.parked[j] != 0) && barred_[j] == 0 && side_.lower[j] < side_.upper[j];
  }

  const Matrix& S_;
  Side& side_;
  Basis basis_;
  double tolerance_, keenest_ = 0;
  Vector c_, w_, t_;        // z - S_H y_H; Q'c; minimiser over the face
  Eigen::VectorXi barred_;  // 1: freed since the residual last fell
  Columns candidates_;      // asked first
};

}  // namespace marquardt::bounded
