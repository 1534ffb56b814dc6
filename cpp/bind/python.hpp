// pybind11 in one place, and the helpers that turn arrays into Eigen maps without copying.
#pragma once

#include <pybind11/complex.h>
#include <pybind11/eigen.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "marquardt/base/types.hpp"

namespace marquardt::bind {

namespace py = pybind11;

// One function per file, called by module.cpp in this order.
void bind_status(py::module_& m);
void bind_options(py::module_& m);
void bind_minimise(py::module_& m);
void bind_linear(py::module_& m);
void bind_accumulator(py::module_& m);
void bind_box_qp(py::module_& m);
void bind_bounded_linear(py::module_& m);
void bind_derivatives(py::module_& m);

}  // namespace marquardt::bind
