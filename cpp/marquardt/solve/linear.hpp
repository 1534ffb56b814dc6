// Linear least squares: min ||A x - b||, the x of least norm where many are as good.
//
// Plain systems go to LinearSolver. Weights, a covariance of b, a ridge, a prior and equality constraints are brought
// to plain systems by solve_linear.
#pragma once

#include "marquardt/base/types.hpp"
#include "marquardt/linalg/fold.hpp"
#include "marquardt/linalg/long_residual.hpp"

namespace marquardt {

enum class LinearMethod { automatic, qr, cod, svd, cholesky };

struct LinearFit {
  Matrix x;                     // n x k, a column per right-hand side
  Matrix residuals;             // b - A x, m x k
  Vector cost;                  // half the sum of squares per right-hand side, weighted where b is
  Index rank = 0;               // directions of x that the data (and ridge and constraints) determine
  double condition = infinity;  // estimate for A with columns scaled to length 1: what the digits of x depend on
  Vector singular_values;       // method svd only
  Matrix triangle;              // T'T = A'A, after weights and ridge; in the free coordinates of the constraints
  Matrix null_space;            // n x (n - rank), or no columns if there are over 64: steps of x that change nothing
  Matrix basis;                 // of the free coordinates of constraints: x = x_p + basis y, orthonormal; else empty
  double ridge = 0;             // the ridge parameter that was used
  double dof = 0;               // rows less effective parameters
};

// `rcond` < 0: max(m, n) * epsilon. Directions whose pivot or singular value is below rcond times the largest are
// treated as undetermined.
//   qr         QR, basic solution when rank-deficient (undetermined variables at 0)
//   cod        complete orthogonal decomposition, minimum norm
//   svd        singular values, minimum norm
//   cholesky   normal equations, full column rank only; throws std::invalid_argument otherwise
//   automatic  QR of the column-scaled matrix, which decides the rank whatever the units; minimum norm
struct LinearOptions {
  LinearMethod method = LinearMethod::automatic;
  double rcond = -1;
};

// Solves one system after the other in storage that it keeps. Any shape, empty ones included.
class LinearSolver {
 public:
  explicit LinearSolver(const LinearOptions& options) : options_(options) {}
  bool solve(const StridedView& A, const StridedView& b, LinearFit& fit);  // false: A or b is not finite

 private:
  bool reduce(const StridedView& M, const StridedView& F, bool keep);
  bool scale_extremes(const StridedView& M, const StridedView& F);
  void read_triangle(LinearFit& fit) const;
  bool solve_tall(const StridedView& A, const StridedView& b, LinearFit& fit);
  bool solve_wide(const StridedView& A, const StridedView& b, LinearFit& fit);
  void solve_otherwise(const StridedView& A, const StridedView& b, LinearFit& fit);
  bool finish_tall(const StridedView& A, const StridedView& b, LinearFit& fit);
  void refine();
  void refine_apart(const Vector& b);
  double unscaled_x(double x, Index j) const;

  LinearOptions options_;
  double threshold_ = 0, condition_ = infinity;
  TallFactor factor_;
  bool kept_ = false;
  Vector scale_;        // powers of two that bring columns to size 1; empty if none is extreme
  double b_scale_ = 1;  // likewise for b
  Vector lengths_;      // of the columns of R
  Vector top_, below_;
  LongResidual long_residual_;
  PairVector s_, x_, r_, f_, product_;  // in scaled units
};

// What may go with A and b; an empty matrix means there is none.
struct LinearTerms {
  Matrix weights;             // m x 1: how often each squared residual counts, >= 0
  Matrix covariance;          // m x m, of b; lower half used
  Matrix ridge;               // p x n: adds ||ridge (x - prior)||^2
  Matrix prior;               // n x 1
  Matrix constraints;         // c x n: C x = d
  Matrix targets;             // c x k
  bool choose_ridge = false;  // generalised cross-validation chooses the multiple of `ridge`
};

// Throws std::invalid_argument where the covariance is not positive definite or constraints contradict each other.
// False: A or b is not finite.
bool solve_linear(const StridedView& A, const StridedView& b, const LinearOptions& options, const LinearTerms& terms,
                  LinearFit& fit);

// A plain system, all at once.
LinearFit solve_linear(const MatrixView& A, const MatrixView& b, double rcond, LinearMethod method);

}  // namespace marquardt
