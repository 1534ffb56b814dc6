// The compiled module: one bind_ function per noun.
#include "bind/curve.hpp"
#include "bind/python.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled core of marquardt. Private: the public names are those of the package.";
  marquardt::bind::bind_status(m);
  marquardt::bind::bind_options(m);
  marquardt::bind::bind_derivatives(m);
  marquardt::bind::bind_minimise(m);
  marquardt::bind::bind_curve(m);
  marquardt::bind::bind_linear(m);
  marquardt::bind::bind_accumulator(m);
  marquardt::bind::bind_box_qp(m);
  marquardt::bind::bind_bounded_linear(m);
}
