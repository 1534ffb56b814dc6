// How sure least-squares estimates are: the covariance of the parameters, from the Jacobian at the solution.
#pragma once

#include <vector>

#include "marquardt/base/types.hpp"

namespace marquardt {

// C = variance (J'J)^-1 of the columns in `free` (ascending), 0 for all others. Where these columns are dependent, as
// far as J is known (`noise`: its relative error), or the variance is not finite, C is infinite there, and the answer
// is false. It is so too where an entry that is large in these units overflows.
bool covariance(const MatrixView& J, const std::vector<Index>& free, double noise, double variance, Matrix& C);

}  // namespace marquardt
