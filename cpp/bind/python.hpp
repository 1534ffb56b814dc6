// pybind11 in one place, and what every binding needs to hand arrays and fields to Python.
#pragma once

#include <pybind11/complex.h>
#include <pybind11/eigen.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "marquardt/base/types.hpp"

namespace marquardt::bind {

namespace py = pybind11;

// A new array with a copy of the values, column-major. pybind11's own cast makes two arrays on the way to one.
template <class Scalar, int Columns>
py::array array_of(const Eigen::Matrix<Scalar, Eigen::Dynamic, Columns>& values) {
  using Filled = py::array_t<Scalar, py::array::f_style>;
  Filled array = Columns == 1 ? Filled(values.size()) : Filled({values.rows(), values.cols()});
  std::copy_n(values.data(), values.size(), array.mutable_data());
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
void bind_minimise(py::module_& m);
void bind_linear(py::module_& m);
void bind_accumulator(py::module_& m);
void bind_box_qp(py::module_& m);
void bind_bounded_linear(py::module_& m);
void bind_derivatives(py::module_& m);
void bind_covariance(py::module_& m);

}  // namespace marquardt::bind
