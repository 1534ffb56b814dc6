// A = LL' in place, for the sizes of active sets: from a few columns to a few hundred.
#pragma once

#include "marquardt/base/types.hpp"

namespace marquardt {

using MatrixBlock = Eigen::Ref<Matrix, 0, Eigen::OuterStride<>>;

// Columns factored one after the other before the rest of the matrix hears of them.
constexpr Index cholesky_panel = 64;

// The lower triangle of A, in place; what is above stays. False at the first pivot L_jj^2 that is not above least[j].
bool cholesky(MatrixBlock A, const double* least);

}  // namespace marquardt
