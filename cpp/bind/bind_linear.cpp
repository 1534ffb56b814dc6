// Linear least squares.
#include <string>

#include "bind/python.hpp"
#include "marquardt/solve/linear.hpp"

namespace marquardt::bind {
namespace {

LinearMethod linear_method(const std::string& name) {
  if (name == "auto") return LinearMethod::automatic;
  if (name == "qr") return LinearMethod::qr;
  if (name == "cod") return LinearMethod::cod;
  if (name == "svd") return LinearMethod::svd;
  if (name == "cholesky") return LinearMethod::cholesky;
  throw py::value_error("method must be 'auto', 'qr', 'cod', 'svd' or 'cholesky', got '" + name + "'");
}

}  // namespace

void bind_linear(py::module_& m) {
  m.def(
      "solve_linear",
      [](const Matrix& A, const Matrix& b, double rcond, const std::string& method) {
        const LinearMethod chosen = linear_method(method);
        LinearFit fit;
        {
          const py::gil_scoped_release unlocked;
          fit = solve_linear(A, b, rcond, chosen);
        }
        py::dict d;
        d["x"] = std::move(fit.x);
        d["residuals"] = std::move(fit.residuals);
        d["rank"] = fit.rank;
        d["condition"] = fit.condition;
        d["singular_values"] = std::move(fit.singular_values);
        return d;
      },
      py::arg("A"), py::arg("b"), py::arg("rcond"), py::arg("method"),
      "min ||A x - b|| for every column of b. Arguments are taken as checked.");
}

}  // namespace marquardt::bind
