// The covariance of a fit's parameters.
#include <vector>

#include "bind/python.hpp"
#include "marquardt/solve/covariance.hpp"

namespace marquardt::bind {
namespace {

using Fortran = py::array_t<double, py::array::f_style | py::array::forcecast>;

// Columns whose bounds leave any freedom; without bounds all.
std::vector<Index> free_columns(const Fortran& lower, const Fortran& upper, Index n) {
  std::vector<Index> free;
  free.reserve(static_cast<std::size_t>(n));
  for (Index j = 0; j < n; ++j) {
    if (lower.size() != n || lower.data()[j] < upper.data()[j]) free.push_back(j);
  }
  return free;
}

}  // namespace

void bind_covariance(py::module_& m) {
  m.def(
      "curve_covariance",
      [](const Fortran& J, const Fortran& lower, const Fortran& upper, double noise, double cost, bool known) {
        if (J.ndim() != 2) throw py::value_error("J must have two dimensions");
        const Eigen::Map<const Matrix> values(J.data(), J.shape(0), J.shape(1));
        const std::vector<Index> free = free_columns(lower, upper, values.cols());
        const auto dof = static_cast<double>(values.rows()) - static_cast<double>(free.size());
        const double variance = known ? 1.0 : dof > 0 ? 2 * cost / dof : infinity;
        Matrix C;
        const bool determined = covariance(values, free, noise, variance, C);
        return py::make_tuple(array_of(C), determined);
      },
      py::arg("J"), py::arg("lower"), py::arg("upper"), py::arg("noise"), py::arg("cost"), py::arg("known"),
      py::pos_only(),
      "((J'J)^-1 s^2, whether it is finite) of the parameters with lower < upper, 0 for others; s^2 = 1 where errors "
      "are `known`, else 2 cost / (m - n). Empty bounds are none.");
}

}  // namespace marquardt::bind
