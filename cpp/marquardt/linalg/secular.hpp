// Which alpha gives a step of length Delta?   ||p_hat(alpha)|| = Delta, by safeguarded Newton on 1/||p_hat||.
// Reference: More & Sorensen (1983), Computing a trust region step; More (1978), The Levenberg-Marquardt algorithm.
#pragma once

#include "marquardt/linalg/subproblem.hpp"

namespace marquardt {

struct Secular {
  double alpha = 0;      // the alpha the step was computed at
  bool at_edge = false;  // the trust region cut the step: ||p_hat|| = Delta; otherwise the full (minimum-norm) step
  int solves = 0;        // factorisations or rotations asked for
};

// Fills p_hat with the minimiser of the model within ||p_hat|| <= Delta. The full step if it fits; otherwise
// ||p_hat(alpha)|| within `tolerance` of Delta (relative), then scaled to length Delta exactly.
// Should the subproblem refuse every alpha whose step is that long, the longest step it gives (at_edge = false, alpha >
// 0). `guess` (> 0) is a first alpha from a related solve, used only if it lies in the safe bracket.
Secular secular(Subproblem& subproblem, const Model& model, double Delta, double guess, Vector& p_hat,
                double tolerance = 0.01);

}  // namespace marquardt
