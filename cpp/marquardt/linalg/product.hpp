// Products of a matrix and a vector at any size.
#pragma once

#include "marquardt/base/types.hpp"

namespace marquardt {

// Up to here plain loops: setting up Eigen's blocked kernels takes several times as long as the arithmetic.
constexpr Index few_columns = 12;

// y = A x for a square A
inline void multiply(const Matrix& A, const Vector& x, Vector& y) {
  if (A.cols() <= few_columns) {
    y.noalias() = A.lazyProduct(x);
  } else {
    y.noalias() = A * x;
  }
}

}  // namespace marquardt
