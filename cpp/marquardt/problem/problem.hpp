// What are r, J and the cost at x? The one place that calls the user's functions, counts the calls and decides what
// NaN and infinity mean: a point that is not finite has infinite cost, a Jacobian that is not finite is refused.
#pragma once

#include <variant>

#include "marquardt/base/host.hpp"
#include "marquardt/linalg/accumulator.hpp"
#include "marquardt/linalg/safe_rows.hpp"
#include "marquardt/linalg/subproblem.hpp"
#include "marquardt/problem/loss.hpp"
#include "marquardt/problem/residual.hpp"

namespace marquardt {

struct Value {
  Vector x, r;
  Vector raw;              // with a loss: the function's own residuals, of which it made r; else empty
  double cost = infinity;  // 1/2 r'r; infinite where r is not finite
};

// A value with its linearisation.
struct Point : Value {
  Jacobian J;
  Reduced rows;
  double norm_r = 0;
  double precision = epsilon;  // unit of rounding of r
  double terms = 0;  // sum of ||J_j|| |x_j|: the size of the terms that make up r, hence of its rounding errors

  const Vector& g() const { return rows.g; }
  // Rounding level of any component of r along the columns of J. A few units of rounding in each of the terms: the
  // factor 4 was found not to matter between 1 and 64 on the certified problems.
  double noise() const { return 4 * precision * terms; }
};

struct Counts {
  Index nfev = 0;                                  // residual evaluations, those of differences not counted
  Index njev = 0;                                  // Jacobians
  Index differences = 0;                           // residual evaluations spent on differences
  double seconds_value = 0, seconds_jacobian = 0;  // inside the user's functions, and in differences of them
};

class Problem {
 public:
  Problem(Residual& residual, Index n, Form form, Host& host, Loss loss = Loss());
  // Rows as this subproblem is best fed with: for `automatic` in the form that is safe at each point.
  Problem(Residual& residual, Index n, SubproblemKind kind, Host& host, Loss loss = Loss());

  void use_threads(Index threads);  // for the reduction of rows

  Index parameters() const { return n_; }
  Counts counts() const;
  double derivative_error() const { return residual_.derivative_error(); }
  bool refinable() const { return residual_.refinable(); }
  void refine() { residual_.refine(); }

  // Evaluates r at x.
  void value(const Vector& x, Value& at);

  // Evaluates J at a finite value and reduces the rows. False if J is not finite: `at` is then unspecified.
  bool linearise(const Value& value, Point& at);

 private:
  using Rows = std::variant<Accumulator, SafeRows>;

  Problem(Residual& residual, Index n, Form form, Rows rows, Host& host, Loss loss);
  static Rows rows_for(SubproblemKind kind, Index n);
  void reduce(const StridedView& J, const Vector& r, Reduced& rows);

  Residual& residual_;
  Loss loss_;
  Index n_;
  Form form_;  // of most points' rows
  Rows rows_;
  Host& host_;
  Counts counts_;
  Vector slopes_;
};

// cost(a) - cost(b) as 1/2 (ra - rb)'(ra + rb), which keeps the digits that a difference of sums of squares loses.
// Minus infinity if b is not finite.
double cost_fall(const Value& a, const Value& b);

}  // namespace marquardt
