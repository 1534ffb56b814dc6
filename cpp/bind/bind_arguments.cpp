// Questions about arrays that each solve asks: in NumPy they take several calls, each as long as a step of a small one.
#include <cmath>
#include <limits>

#include "bind/python.hpp"

namespace marquardt::bind {
namespace {

py::object vector_of_array(py::handle plain) {
  const Eigen::Map<const Vector> x = numbers_in(plain);
  return x.size() > 0 && x.allFinite() ? array_of<double, 1>(x) : py::object(py::none());
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
        if (is_plain_vector(x)) return vector_of_array(x);
        if (PyList_CheckExact(x.ptr()) || PyTuple_CheckExact(x.ptr())) return vector_of_numbers(x);
        return py::none();
      },
      py::arg("x"), py::pos_only(),
      "A copy of a vector of finite doubles, or of a list or tuple of them, that has an entry at least; None for all "
      "else.");
  m.def(
      "is_finite", [](py::handle x) { return is_plain(x) && numbers_in(x).allFinite(); }, py::arg("x"), py::pos_only(),
      "Whether this is an array without gaps of doubles that are all finite; False for all that needs a closer look.");
}

}  // namespace marquardt::bind
