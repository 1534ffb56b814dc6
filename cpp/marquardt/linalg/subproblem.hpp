// What is the step for a given alpha?   minimise  m(p_hat) + 1/2 alpha ||p_hat||^2.
//
// Levenberg-Marquardt asks once per trial; a trust region asks a few times inside a scalar root-find.
// Five verbs, three ways of answering: Cholesky of B + C + alpha I, rank-revealing QR with sqrt(alpha) I rotated in,
// SVD of the small triangle; and `automatic`, the cheapest of the three that is safe at each point. Each accepts rows
// of either form; with Gram rows none can know more than the Gram matrix does: directions shorter than sqrt(n epsilon)
// of their column count as zero.
#pragma once

#include <memory>

#include "marquardt/linalg/model.hpp"

namespace marquardt {

enum class SubproblemKind { cholesky, qr, svd, automatic };

class Subproblem {
 public:
  virtual ~Subproblem() = default;

  // Once per accepted point. The model must stay alive and unchanged until the next factor.
  virtual void factor(const Model& model) = 0;

  // Once per alpha >= 0. Fills p_hat(alpha); at alpha = 0 on a rank-deficient model this is the minimum-norm minimiser.
  // False only when no finite step exists for this alpha (ask again with a larger one).
  virtual bool solve(double alpha, Vector& p_hat) = 0;

  // d||p_hat||/d alpha at the last solve: -p_hat'(B + C + alpha I)^-1 p_hat / ||p_hat||  (0 if p_hat = 0).
  // At alpha = 0 on a rank-deficient model: the derivative of the minimum-norm solution's length.
  virtual double slope(const Vector& p_hat) = 0;

  // q = -(B + C + alpha I)^-1 h at the alpha of the last solve, for another right-hand side than the gradient. False
  // where that solve was of minimum norm, or q is not finite. The slope is still that of the last solve.
  virtual bool back_solve(const Vector& h, Vector& q) = 0;

  // Numerical rank of [A; sqrt(C)]. Threshold: the factor's own scale times size times epsilon.
  virtual Index rank() const = 0;
};

std::unique_ptr<Subproblem> make_subproblem(SubproblemKind kind);

// The form of rows that a factorisation is best fed with; each accepts both.
Form form_for(SubproblemKind kind);

// One maker per factorisation, each in its own file.
std::unique_ptr<Subproblem> make_cholesky();

// Pivots up to rank_tolerance times the largest count as zero; 0 means the default, n * epsilon.
std::unique_ptr<Subproblem> make_qr(double rank_tolerance = 0);

std::unique_ptr<Subproblem> make_svd();

// Takes the form of each point's rows for the word of whoever made them: Gram rows are safe, see safe_rows.hpp.
std::unique_ptr<Subproblem> make_automatic();

}  // namespace marquardt
