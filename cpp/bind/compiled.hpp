// Compiled functions from Python: an object that holds their addresses, and what a solve makes of it.
#pragma once

#include "bind/python.hpp"
#include "marquardt/problem/compiled.hpp"

namespace marquardt::bind {

// The addresses in a _core.Compiled; null for any other object.
const Compiled* compiled_in(const py::object& fun);

// Whether jac is that Jacobian of a compiled fun which stands behind its address: True, or the method `jacobian`.
bool is_own_jacobian(const py::object& fun, const py::object& jac);

void bind_compiled(py::module_& m);

}  // namespace marquardt::bind
