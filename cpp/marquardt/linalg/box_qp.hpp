// min 1/2 x'Hx + g'x  subject to lower <= x <= upper, H symmetric positive (semi)definite. Exact: an active-set
// method whose answer lies on its bounds to the last bit and whose free part solves the reduced Newton system.
// References: Judice & Pires (1994), A block principal pivoting algorithm for large-scale strictly monotone linear
// complementarity problems; Bertsekas (1982), Projected Newton methods for optimization problems with simple
// constraints; More & Toraldo (1991), On the solution of large quadratic programming problems with bound constraints.
#pragma once

#include <vector>

#include "marquardt/base/box.hpp"

namespace marquardt {

enum class BoxQpStatus {
  solved,      // the first-order conditions hold to rounding
  unbounded,   // the objective falls without end along ray()
  not_convex,  // H has a negative eigenvalue beyond rounding
  stalled,     // rounding or overflow stood in the way
  invalid      // something that counts is not finite, or the box is empty
};

// Whether H is known to be positive semidefinite, or is to be proved so (a Cholesky factorisation of all of it).
enum class Convexity { assumed, checked };

struct BoxQpReport {
  bool solved = false;  // status == solved
  BoxQpStatus status = BoxQpStatus::invalid;
  int iterations = 0;     // reduced Newton systems solved
  double kkt = infinity;  // largest violation of the first-order conditions, relative to the gradient's own scale
  bool singular = false;  // a system that was needed had no full rank to rounding: x may be one of many
};

// Owns its buffers, so that a sequence of problems of one size allocates once.
class BoxQp {
 public:
  // The first `block_limit` reduced systems may change any number of bounds each; from then on bounds change one by
  // one. On thousands of random problems blocks settled within 25 systems; past 50 they are not going to.
  explicit BoxQp(int block_limit = 50) : block_limit_(block_limit) {}

  // Solves from the warm start x (projected into the box first); x receives the solution. Where x lies on its bounds
  // the first system is solved with just those held: if they are the right ones, it is the last as well.
  // Variables with lower == upper stay there. Finite termination; not solved only if no minimiser exists (H singular
  // along an unbounded descent direction, or not positive semidefinite), numbers overflow or input is not finite.
  BoxQpReport solve(const MatrixView& H, const VectorView& g, const VectorView& lower, const VectorView& upper,
                    Vector& x, Convexity convexity = Convexity::assumed);

  // The same, from a guess of the active set, such as the active() of a problem nearby: x is put on the bounds it
  // names.
  BoxQpReport solve(const MatrixView& H, const VectorView& g, const VectorView& lower, const VectorView& upper,
                    const Eigen::VectorXi& guess, Vector& x, Convexity convexity = Convexity::assumed);

  // -1, 0, +1 for each variable at the last solution: held at its lower bound, free, held at its upper bound.
  const Eigen::VectorXi& active() const { return active_; }

  // Hx + g at the last solution.
  const Vector& gradient() const { return gradient_; }

  // 1/2 x'Hx + g'x at that solution x.
  double objective(const VectorView& g, const Vector& x) const { return 0.5 * x.dot(gradient_) + 0.5 * x.dot(g); }

  // The multiplier of the bound that holds each variable, >= 0; 0 for free ones. gradient() = -active() *
  // multipliers().
  Vector multipliers() const;

  // After `unbounded`: a direction inside the box's recession cone, H ray = 0 and g'ray < 0 to rounding, largest
  // component 1 in size.
  const Vector& ray() const { return direction_; }

 private:
  struct Problem;
  enum class Direction { newton, ray };  // a step of natural length 1; a line on which the model falls without end

  bool start(const Problem& qp, Vector& x);
  void guess(const Problem& qp, Vector& x, bool prove, BoxQpReport& report);
  void resume_sweeps(const Problem& qp, Vector& x, BoxQpReport& report);
  double measure(const Problem& qp, const Vector& x);
  double violation(const Problem& qp, const Vector& x, Index i) const;
  bool wrongly_held(const Problem& qp, const Vector& x, Index i) const;
  bool remote(const Problem& qp, const Vector& x) const;
  void mark(const Problem& qp, const Vector& x);
  bool sweep(const Problem& qp, Vector& x, bool until_few);
  void rank_by_margin(const Problem& qp, const Vector& x);
  Index group();
  bool factor_free(const Problem& qp);
  void gather(const Problem& qp, Index p, Index k);
  bool factor_leading(const Problem& qp, Index p, Index k);
  void solve_factored(Index k, Vector& v) const;
  double newton_step(Index k);
  bool refuted_by_diagonal(const Problem& qp) const;
  bool factor_whole(const Problem& qp, bool prove);
  bool take_whole_step(const Problem& qp, Vector& x, BoxQpReport& report);
  bool settled(double second, const Vector& x) const;
  bool settle_blocks(const Problem& qp, Vector& x, BoxQpReport& report);
  Index classify(const Problem& qp, const Vector& x);
  void exchange(const Problem& qp, Vector& x);
  bool falls_forever(const Problem& qp, const Vector& x, Index k, double second);
  void note_rank(Index k);
  bool improve(double kkt, double last);
  void settle_faces(const Problem& qp, Vector& x, BoxQpReport& report);
  void hold_all(const Problem& qp, const Vector& x);
  void release_one(const Problem& qp, const Vector& x);
  Direction find_direction(const Problem& qp);
  Direction singular_direction(const Problem& qp, Index k);
  bool full_step_fits(const Problem& qp, const Vector& x) const;
  bool search(const Problem& qp, Direction kind, Vector& x);
  void collect_breaks(const Problem& qp, const Vector& x);
  double invisible(Direction kind) const;
  void clip(const Problem& qp, Index i, Vector& x);
  void finish(const Problem& qp, const Vector& x, BoxQpReport& report);
  Index at(Index a) const { return order_[static_cast<std::size_t>(a)]; }

  int block_limit_;
  Vector gradient_, scale_, roots_;    // Hx + g; the size of its terms; sqrt(H_ii)
  Vector direction_, image_, breaks_;  // H times the direction; t at which each variable meets its wall
  Vector refuge_;                      // where the blocks began
  Vector step_, trial_;                // of the free variables only, in the order of order_; scratch
  Matrix factor_;                      // Cholesky factor of H + shift diag(H), leading `factored_` of order_
  Eigen::VectorXi active_, next_;      // the working set; the one that follows
  std::vector<Index> order_, walls_;   // all variables, the free ones first; those with a wall ahead, nearest first
  std::vector<Index> scratch_;
  Index factored_ = 0;
  double shift_ = 0, least_shift_ = 0;
  double tolerance_ = 0;
  bool singular_ = false, indefinite_ = false;
};

}  // namespace marquardt
