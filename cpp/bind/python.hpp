// pybind11 in one place, and what every binding needs to hand arrays and fields to Python.
#pragma once

#include <pybind11/complex.h>
#include <pybind11/eigen.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <numeric>

#include "marquardt/base/types.hpp"

namespace marquardt::bind {

namespace py = pybind11;

// A new array from NumPy itself: pybind11 would lay out shape and strides in vectors first.
inline py::array new_array(py::dtype type, std::initializer_list<py::ssize_t> shape, bool column_major = false) {
  const auto& api = py::detail::npy_api::get();
  PyObject* made = api.PyArray_NewFromDescr_(api.PyArray_Type_, type.release().ptr(), static_cast<int>(shape.size()),
                                             shape.begin(), nullptr, nullptr,
                                             column_major ? py::detail::npy_api::NPY_ARRAY_F_CONTIGUOUS_ : 0, nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(made);
}

template <class Scalar>
py::array_t<Scalar> new_array(std::initializer_list<py::ssize_t> shape, bool column_major = false) {
  return py::reinterpret_steal<py::array_t<Scalar>>(new_array(py::dtype::of<Scalar>(), shape, column_major).release());
}

constexpr int by_rows = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_;
constexpr int by_columns = py::detail::npy_api::NPY_ARRAY_F_CONTIGUOUS_;

// Whether numbers can be read as they lie in memory: one of NumPy's own arrays, of doubles, without gaps in one of the
// orders. Asking each question of an array by itself takes 0.3 us, half of what an evaluation may cost.
inline bool is_plain(py::handle h, int orders = by_rows) {
  if (Py_TYPE(h.ptr()) != py::detail::npy_api::get().PyArray_Type_) return false;
  const auto* array = py::detail::array_proxy(h.ptr());
  return (array->flags & orders) && (array->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) &&
         array->descr == py::dtype::of<double>().ptr();
}

inline bool is_plain_vector(py::handle h) { return is_plain(h) && py::detail::array_proxy(h.ptr())->nd == 1; }

// The numbers of a plain array, in a row.
inline Eigen::Map<const Vector> numbers_in(py::handle plain) {
  const auto* array = py::detail::array_proxy(plain.ptr());
  const Index size = std::accumulate(array->dimensions, array->dimensions + array->nd, Index{1}, std::multiplies<>());
  return {reinterpret_cast<const double*>(array->data), size};
}

template <class Array>
auto* data_of(const Array& array) {
  return reinterpret_cast<typename Array::value_type*>(py::detail::array_proxy(array.ptr())->data);
}

// A new array with a copy of the values, column-major.
template <class Scalar, int Columns>
py::array array_of(const Eigen::Matrix<Scalar, Eigen::Dynamic, Columns>& values) {
  const auto array =
      Columns == 1 ? new_array<Scalar>({values.size()}) : new_array<Scalar>({values.rows(), values.cols()}, true);
  std::copy_n(values.data(), values.size(), data_of(array));
  return array;
}

// A field's name, made once for all results.
inline py::object interned(const char* text) {
  return py::reinterpret_steal<py::object>(PyUnicode_InternFromString(text));
}

// mapping[name] = value for a dictionary or a kind of one, without going through its methods.
inline void set_item(const py::object& mapping, const py::object& name, const py::object& value) {
  if (PyDict_SetItem(mapping.ptr(), name.ptr(), value.ptr()) != 0) throw py::error_already_set();
}

// One function per file, called by module.cpp in this order.
void bind_status(py::module_& m);
void bind_options(py::module_& m);
void bind_arguments(py::module_& m);
void bind_minimise(py::module_& m);
void bind_linear(py::module_& m);
void bind_accumulator(py::module_& m);
void bind_box_qp(py::module_& m);
void bind_bounded_linear(py::module_& m);
void bind_derivatives(py::module_& m);
void bind_covariance(py::module_& m);

}  // namespace marquardt::bind
