// Questions about arrays that each solve asks: in NumPy they take several calls, each as long as a step of a small one.
#include <cmath>
#include <limits>

#include "bind/python.hpp"

namespace marquardt::bind {
namespace {

bool finite(py::handle plain) {
  const auto a = py::reinterpret_borrow<py::array>(plain);
  const auto* numbers = static_cast<const double*>(a.data());
  return Eigen::Map<const Vector>(numbers, a.size()).allFinite();
}

py::object vector_of_array(py::handle x) {
  const auto* array = py::detail::array_proxy(x.ptr());
  if (array->nd != 1 || array->dimensions[0] == 0 || !finite(x)) return py::none();
  const auto* numbers = reinterpret_cast<const double*>(array->data);
  return array_of<double, 1>(Eigen::Map<const Vector>(numbers, array->dimensions[0]));
}

// Of floats and small integers, which NumPy would take 1 us to look at.
py::object vector_of_numbers(py::handle sequence) {
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence.ptr());
  if (n == 0) return py::none();
  const auto x = new_array<double>({n});
  for (Py_ssize_t j = 0; j < n; ++j) {
    PyObject* item = PySequence_Fast_GET_ITEM(sequence.ptr(), j);
    int overflow = 0;
    const double value = PyFloat_CheckExact(item)  ? PyFloat_AS_DOUBLE(item)
                         : PyLong_CheckExact(item) ? static_cast<double>(PyLong_AsLongLongAndOverflow(item, &overflow))
                                                   : std::numeric_limits<double>::quiet_NaN();
    if (overflow != 0 || !std::isfinite(value)) return py::none();
    data_of(x)[j] = value;
  }
  return x;
}

}  // namespace

void bind_arguments(py::module_& m) {
  m.def(
      "finite_vector",
      [](py::handle x) -> py::object {
        if (is_plain(x)) return vector_of_array(x);
        if (PyList_CheckExact(x.ptr()) || PyTuple_CheckExact(x.ptr())) return vector_of_numbers(x);
        return py::none();
      },
      py::arg("x"), py::pos_only(),
      "A copy of a vector of finite doubles, or of a list or tuple of them, that has an entry at least; None for all "
      "else.");
  m.def(
      "is_finite", [](py::handle x) { return is_plain(x) && finite(x); }, py::arg("x"), py::pos_only(),
      "Whether this is an array without gaps of doubles that are all finite; False for all that needs a closer look.");
}

}  // namespace marquardt::bind
