// The residuals of a curve, w * (f(xdata, *p) - ydata), as a function of the vector p alone.
#pragma once

#include "bind/python.hpp"

namespace marquardt::bind {

void bind_curve(py::module_& m);

}  // namespace marquardt::bind
