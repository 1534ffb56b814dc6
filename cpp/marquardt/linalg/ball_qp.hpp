// The minimiser of  g'p + 1/2 p'B p  in ||p|| <= Delta, for a symmetric B that need not be positive definite: by the
// eigenvalues of B.
// Reference: More & Sorensen (1983), Computing a trust region step.
#pragma once

#include <Eigen/Eigenvalues>

#include "marquardt/base/types.hpp"

namespace marquardt {

class BallQp {
 public:
  void factor(const Matrix& B, const Vector& g);

  // Of the last factor, for any number of Delta. Returns whether Delta cut the step.
  bool solve(double Delta, Vector& p);

 private:
  double length(double alpha);  // of the step at alpha, left in `along_`
  void assemble(Vector& p);     // from `along_`

  // B = Q (V diag(lambda) V') Q', apart, as Eigen's eigenvalue solver of a whole matrix allocates each time
  Eigen::Tridiagonalization<Matrix> reduced_;
  Eigen::SelfAdjointEigenSolver<Matrix> eigen_;
  Matrix Q_;
  Vector diagonal_, beside_, lambda_, work_;
  Vector pull_, along_;  // gradient and step in the eigenvectors' coordinates
};

}  // namespace marquardt
