// Finite-difference Jacobians on their own.
#include <string>

#include "bind/callback.hpp"
#include "marquardt/problem/difference.hpp"

namespace marquardt::bind {

void bind_derivatives(py::module_& m) {
  m.def(
      "difference_jacobian",
      [](py::object fun, const py::tuple& args, const Vector& x, const Vector& lower, const Vector& upper,
         const std::string& scheme, bool vectorized) {
        PyFunction function(std::move(fun), args, vectorized, false);
        const Scheme chosen = scheme == "2-point"   ? Scheme::two_point
                              : scheme == "3-point" ? Scheme::three_point
                                                    : Scheme::complex_step;
        Differenced differenced(function, chosen, Box{lower, upper}, vectorized);
        Vector r;
        Jacobian J;
        differenced.value(x, r);
        differenced.jacobian(x, r, J);
        return py::make_tuple(r, array_of(J), differenced.steps());
      },
      py::arg("fun"), py::arg("args"), py::arg("x"), py::arg("lower"), py::arg("upper"), py::arg("scheme"),
      py::arg("vectorized"), "Residuals at x, their Jacobian by differences, and the steps h: (r, J, h).");
}

}  // namespace marquardt::bind
