// Words everybody uses. Layer 0: depends on Eigen only.
#pragma once

#include <Eigen/Core>
#include <limits>

namespace marquardt {

using Index = Eigen::Index;
using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;  // column-major
using ComplexVector = Eigen::VectorXcd;

using VectorView = Eigen::Ref<const Vector>;
using MatrixView = Eigen::Ref<const Matrix, 0, Eigen::OuterStride<>>;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double epsilon = std::numeric_limits<double>::epsilon();

}  // namespace marquardt
