// Linear fits that do not trust every row: min ||b - A x||_1, exactly and with a proof; and min sum rho(r_i / c) for
// the usual robust losses, to first order.
// References: Barrodale & Roberts (1973), An improved algorithm for discrete l1 linear approximation, SIAM Journal on
// Numerical Analysis 10, 839-848; Huber & Ronchetti (2009), Robust Statistics, chapter 7.
#pragma once

#include "marquardt/problem/loss.hpp"

namespace marquardt {

// With the dual y, |y_i| <= 1 and A'y = 0: sum |b - A x| >= y'(b - A x) = y'b for every x, so y'b is a lower bound.
struct LeastAbsolute {
  Vector x, residuals, y;
  double cost = 0;                 // sum |residuals|
  double gap = infinity;           // cost - y'b over the sum of |b|: what the proof leaves open
  double excess = infinity;        // largest |y_i| - 1 before it was cut off
  double stationarity = infinity;  // largest |A_j'y| over sum |A_ij|
  bool certified = false;          // all three are rounding
  bool unique = false;             // proven; otherwise, if not empty, x + t direction is as good for 0 <= t <= 1
  Vector direction;
  Index rank = 0;
  int exchanges = 0;
  bool limit = false;  // max_exchanges reached first
};

// A m x n of any rank, m, n >= 1, finite. x interpolates `rank` rows; it is the shortest that interpolates them.
LeastAbsolute least_absolute(const MatrixView& A, const VectorView& b, int max_exchanges);

using RobustLoss = LossKind;

struct RobustFit {
  Vector x, residuals, weights;  // b - A x; psi(u) / u for u = residuals / c, 1 where a row is fully trusted
  double cost = 0;               // 1/2 c^2 sum rho(u^2), rho as in the table of losses
  double stationarity =
      infinity;              // largest |Q_j' psi| beyond rounding of psi, over |Q_j|'|psi|; Q an orthonormal basis
  bool first_order = false;  // that is rounding
  bool curved = false;       // the Hessian is positive definite: a strict (local) minimum
  bool limit = false;
  Index rank = 0;
  int iterations = 0;
};

// c > 0 in the units of b. `start` is empty (least squares) or a point.
RobustFit robust_linear(const MatrixView& A, const VectorView& b, RobustLoss loss, double c, const VectorView& start,
                        int max_iterations);

}  // namespace marquardt
