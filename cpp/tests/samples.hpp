// Random matrices with a fixed seed, and answers in extended precision, for the tests of linalg/.
#pragma once

#include <cstdint>

#include "marquardt/linalg/model.hpp"

namespace samples {

using marquardt::Index;
using marquardt::Matrix;
using marquardt::Vector;
using Long = long double;
using LongMatrix = Eigen::Matrix<Long, Eigen::Dynamic, Eigen::Dynamic>;
using LongVector = Eigen::Matrix<Long, Eigen::Dynamic, 1>;

// Entries uniform in (-1, 1), the same on every platform.
Matrix uniform(Index rows, Index cols, std::uint64_t seed);

// U diag(sigma) V' with random orthogonal U (m columns long) and V; m >= sigma.size().
Matrix with_singular_values(Index m, const Vector& sigma, std::uint64_t seed);

// From 1 down to 1 / condition, evenly in the logarithm.
Vector spread(Index n, double condition);

// The minimum-norm minimiser of ||A p + z||^2 + p'Cp + alpha ||p||^2, pivots below 1e-14 of the largest counted as
// zero.
LongVector exact_step(const Matrix& A, const Vector& z, const Vector& C, double alpha);

// ||a - b|| / ||b||, or ||a|| if b = 0
double error(const Vector& a, const LongVector& b);
double error(const Vector& a, const Vector& b);

// Rows reduced in one block.
marquardt::Reduced reduce(marquardt::Form form, const Matrix& J, const Vector& r);

}  // namespace samples
