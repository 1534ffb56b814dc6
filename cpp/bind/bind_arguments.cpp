// Questions about arrays that each solve asks: in NumPy they take several calls, each as long as a step of a small one.
#include "bind/python.hpp"

namespace marquardt::bind {
namespace {

bool finite(py::handle plain) {
  const auto a = py::reinterpret_borrow<py::array>(plain);
  const auto* numbers = static_cast<const double*>(a.data());
  return Eigen::Map<const Vector>(numbers, a.size()).allFinite();
}

}  // namespace

void bind_arguments(py::module_& m) {
  m.def(
      "finite_vector",
      [](py::handle x) -> py::object {
        if (!is_plain(x)) return py::none();
        const auto* array = py::detail::array_proxy(x.ptr());
        if (array->nd != 1 || array->dimensions[0] == 0 || !finite(x)) return py::none();
        return array_of<double, 1>(
            Eigen::Map<const Vector>(reinterpret_cast<const double*>(array->data), array->dimensions[0]));
      },
      py::arg("x"), py::pos_only(),
      "A copy of a vector of finite doubles that has an entry at least; None for all that needs a closer look.");
  m.def(
      "is_finite", [](py::handle x) { return is_plain(x) && finite(x); }, py::arg("x"), py::pos_only(),
      "Whether this is an array without gaps of doubles that are all finite; False for all that needs a closer look.");
}

}  // namespace marquardt::bind
