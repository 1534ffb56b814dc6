// min 1/2 x'Hx + g'x  subject to lower <= x <= upper, H symmetric positive (semi)definite. Exact: an active-set
// method whose answer lies on its bounds to the last bit and whose free part solves the reduced Newton system.
// References: Bertsekas (1982), Projected Newton methods for optimization problems with simple constraints;
// More & Toraldo (1991), On the solution of large quadratic programming problems with bound constraints.
#pragma once

#include <vector>

#include "marquardt/base/box.hpp"

namespace marquardt {

struct BoxQpReport {
  bool solved = false;       // KKT conditions hold to rounding
  int iterations = 0;        // reduced Newton systems solved
  double kkt = infinity;     // largest violation of the first-order conditions, relative to the gradient's own scale
};

// Owns its buffers, so that a sequence of problems of one size allocates once.
class BoxQp {
 public:
  // Solves from the warm start x (projected into the box first); x receives the solution.
  // Variables with lower == upper stay there. Finite termination; `solved` is false only if no minimiser exists
  // (H singular along an unbounded descent direction) or input is not finite.
  BoxQpReport solve(const Matrix& H, const VectorView& g, const VectorView& lower, const VectorView& upper, Vector& x);

  // -1, 0, +1 for each variable at the last solution: held at its lower bound, free, held at its upper bound.
  const Eigen::VectorXi& active() const { return active_; }

 private:
  Vector gradient_, step_, trial_, free_gradient_, free_step_, H_diagonal_;
  Matrix H_free_;
  Eigen::VectorXi active_;
  std::vector<Index> free_;
};

}  // namespace marquardt
