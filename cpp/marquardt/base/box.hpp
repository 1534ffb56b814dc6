// The feasible set lower <= x <= upper. An unbounded problem is an infinite box.
#pragma once

#include "marquardt/base/types.hpp"

namespace marquardt {

struct Box {
  Vector lower, upper;

  static Box infinite(Index n);

  Index size() const { return lower.size(); }
  bool bounded() const;                                       // any finite wall at all
  bool fixed(Index j) const { return lower[j] == upper[j]; }  // this variable cannot move
  bool contains(const VectorView& x) const;
  void project(Vector& x) const;  // nearest point of the box

  // Moves x strictly inside: a component closer to a wall than margin * max(1, |wall|) is put that far
  // inside it (margin = 0: the next floating-point number); a box too narrow for that gives its middle.
  void move_inside(Vector& x, double margin) const;

  // The largest t >= 0 with x + t p in the box (infinity if no wall is ever met).
  double reach(const VectorView& x, const VectorView& p) const;
};

}  // namespace marquardt
