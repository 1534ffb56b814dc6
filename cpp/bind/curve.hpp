// The residuals of a curve, w * (f(xdata, *p) - ydata), as a function of the vector p alone.
#pragma once

#include <memory>

#include "bind/callback.hpp"

namespace marquardt::bind {

// What stands behind a function made here, for as long as that lives; null for any other, and for one that returns the
// Jacobian as well.
std::unique_ptr<PyFunction> curve_in(const py::object& fun);

void bind_curve(py::module_& m);

}  // namespace marquardt::bind
