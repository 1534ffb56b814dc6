// min 1/2 x'Hx + g'x  subject to lower <= x <= upper, H symmetric positive (semi)definite. Exact: an active-set
// method whose answer lies on its bounds to the last bit and whose free part solves the reduced Newton system.
// References: Bertsekas (1982), Projected Newton methods for optimization problems with simple constraints;
// More & Toraldo (1991), On the solution of large quadratic programming problems with bound constraints.
#pragma once

#include <vector>

#include "marquardt/base/box.hpp"

namespace marquardt {

struct BoxQpReport {
  bool solved = false;    // KKT conditions hold to rounding
  int iterations = 0;     // reduced Newton systems solved
  double kkt = infinity;  // largest violation of the first-order conditions, relative to the gradient's own scale
};

// Owns its buffers, so that a sequence of problems of one size allocates once.
class BoxQp {
 public:
  // The first `block_limit` reduced systems may change any number of bounds each; from then on bounds change one by
  // one. On thousands of random problems blocks settled within 15 systems; past 30 they are not going to.
  explicit BoxQp(int block_limit = 30) : block_limit_(block_limit) {}

  // Solves from the warm start x (projected into the box first); x receives the solution.
  // Variables with lower == upper stay there. Finite termination; `solved` is false only if no minimiser exists
  // (H singular along an unbounded descent direction) or input is not finite.
  BoxQpReport solve(const Matrix& H, const VectorView& g, const VectorView& lower, const VectorView& upper, Vector& x);

  // -1, 0, +1 for each variable at the last solution: held at its lower bound, free, held at its upper bound.
  const Eigen::VectorXi& active() const { return active_; }

 private:
  struct Problem;
  enum class Direction { newton, ray };  // a step of natural length 1; a line on which the model falls without end

  bool start(const Problem& qp, Vector& x);
  double measure(const Problem& qp, const Vector& x);
  double violation(const Problem& qp, const Vector& x, Index i) const;
  void hold_all(const Problem& qp, const Vector& x);
  void release_one(const Problem& qp, const Vector& x);
  Direction find_direction(const Problem& qp);
  Direction singular_direction(const Problem& qp);
  bool full_step_fits(const Problem& qp, const Vector& x) const;
  bool search(const Problem& qp, Direction kind, Vector& x);
  void collect_breaks(const Problem& qp, const Vector& x);
  double invisible(Direction kind) const;
  void clip(const Problem& qp, Index i, Vector& x);

  int block_limit_;
  Vector gradient_, scale_, roots_;    // Hx + g; the size of its terms; sqrt(H_ii)
  Vector direction_, image_, breaks_;  // H times the direction; t at which each variable meets its wall
  Vector free_step_;                   // of the free variables only
  Matrix H_free_;                      // its leading block: H of the free variables, then its Cholesky factor
  Eigen::VectorXi active_;             // the working set
  std::vector<Index> free_, order_;    // free variables; those with a wall ahead, nearest first
  double tolerance_ = 0;
};

}  // namespace marquardt
