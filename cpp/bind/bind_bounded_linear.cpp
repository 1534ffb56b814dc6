// Bounded and robust linear least squares.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "bind/python.hpp"
#include "marquardt/solve/bounded_linear.hpp"
#include "marquardt/solve/robust_linear.hpp"

namespace marquardt::bind {
namespace {

using Array = py::array_t<double, py::array::forcecast>;
using Strided = Eigen::Map<const Matrix, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

// A matrix, or a vector as one column, of its own: rows of NumPy become columns in tiles that stay in the cache.
Matrix own(const Array& a) {
  constexpr Index tile = 64;
  constexpr Index item = static_cast<Index>(sizeof(double));
  const Index m = a.shape(0), n = a.ndim() == 2 ? a.shape(1) : 1;
  const Strided view(a.data(), m, n, {a.ndim() == 2 ? a.strides(1) / item : m, a.strides(0) / item});
  if (view.innerStride() == 1) return view;
  Matrix copy(m, n);
  for (Index j = 0; j < n; j += tile) {
    for (Index i = 0; i < m; i += tile) {
      const Index rows = std::min(tile, m - i), cols = std::min(tile, n - j);
      copy.block(i, j, rows, cols) = view.block(i, j, rows, cols);
    }
  }
  return copy;
}

// The numbers of SciPy's lsq_linear, and of the Python face's BoundedStatus.
int number_of(BoundedStatus status) {
  switch (status) {
    case BoundedStatus::solved:
      return 1;
    case BoundedStatus::unconstrained:
      return 3;
    case BoundedStatus::limit:
      return 0;
    default:
      return -1;
  }
}

// What pulls at the bound that holds a variable; a wrong sign is rounding's.
Matrix multipliers(const BoundedFit& fit) {
  Matrix u = Matrix::Zero(fit.x.rows(), fit.x.cols());
  for (Index i = 0; i < u.size(); ++i) {
    const int side = fit.active.data()[i];
    if (side != 0) u.data()[i] = std::max(0.0, side < 0 ? fit.gradient.data()[i] : -fit.gradient.data()[i]);
  }
  return u;
}

// A column and plain numbers for one right-hand side; matrices and vectors for several.
template <typename Given>
py::object columns(Given& values, bool many) {
  if (many) return py::cast(std::move(values));
  return py::cast(values.col(0).eval());
}

py::dict bounded(const Array& A, const Array& B, const VectorView& lower, const VectorView& upper,
                 const std::optional<Array>& start, int max_exchanges) {
  Matrix rows = own(A), sides = own(B);
  const Matrix from = start ? own(*start) : Matrix(rows.cols(), 0);
  const bool many = B.ndim() == 2;
  py::dict d;
  if (!rows.allFinite() || !sides.allFinite()) {
    d["culprit"] = rows.allFinite() ? "b" : "A";
    return d;
  }
  BoundedFit fit;
  Matrix pull;
  {
    const py::gil_scoped_release unlocked;
    fit = solve_bounded(std::move(rows), std::move(sides), lower, upper, from, max_exchanges);
    pull = multipliers(fit);
  }
  Eigen::VectorXi status(static_cast<Index>(fit.status.size()));
  for (Index k = 0; k < status.size(); ++k) status[k] = number_of(fit.status[static_cast<std::size_t>(k)]);
  d["x"] = columns(fit.x, many);
  d["grad"] = columns(fit.gradient, many);
  d["multipliers"] = columns(pull, many);
  d["active_mask"] = columns(fit.active, many);
  if (many) {
    d["optimality"] = std::move(fit.optimality);
    d["kkt"] = std::move(fit.kkt);
    d["nit"] = std::move(fit.iterations);
    d["rank"] = std::move(fit.ranks);
    d["unique"] = std::move(fit.unique);
    d["status"] = std::move(status);
  } else {
    d["optimality"] = fit.optimality[0];
    d["kkt"] = fit.kkt[0];
    d["nit"] = fit.iterations[0];
    d["rank"] = fit.ranks[0];
    d["unique"] = static_cast<bool>(fit.unique[0]);
    d["status"] = status[0];
  }
  return d;
}

py::tuple fold(const Array& J, const Array& B, Matrix R, Matrix Z) {
  const Matrix rows = own(J), sides = own(B);
  {
    const py::gil_scoped_release unlocked;
    fold_rows(rows, sides, R, Z);
  }
  return py::make_tuple(std::move(R), std::move(Z));
}

py::dict absolute(const Array& A, const VectorView& b, int max_exchanges) {
  const Matrix rows = own(A);
  LeastAbsolute fit;
  {
    const py::gil_scoped_release unlocked;
    fit = least_absolute(rows, b, max_exchanges);
  }
  py::dict d;
  d["x"] = std::move(fit.x);
  d["residuals"] = std::move(fit.residuals);
  d["dual"] = std::move(fit.y);
  d["cost"] = fit.cost;
  d["gap"] = fit.gap;
  d["excess"] = fit.excess;
  d["stationarity"] = fit.stationarity;
  d["certified"] = fit.certified;
  d["unique"] = fit.unique;
  d["direction"] = fit.direction.size() > 0 ? py::cast(std::move(fit.direction)) : py::none();
  d["rank"] = fit.rank;
  d["nit"] = fit.exchanges;
  d["limit"] = fit.limit;
  return d;
}

RobustLoss loss_named(const std::string& name) {
  if (name == "huber") return RobustLoss::huber;
  if (name == "soft_l1") return RobustLoss::soft_l1;
  if (name == "cauchy") return RobustLoss::cauchy;
  if (name == "arctan") return RobustLoss::arctan;
  if (name == "welsch") return RobustLoss::welsch;
  return RobustLoss::tukey;
}

py::dict robust(const Array& A, const VectorView& b, const std::string& loss, double c, const VectorView& start,
                int max_iterations) {
  const Matrix rows = own(A);
  RobustFit fit;
  {
    const py::gil_scoped_release unlocked;
    fit = robust_linear(rows, b, loss_named(loss), c, start, max_iterations);
  }
  py::dict d;
  d["x"] = std::move(fit.x);
  d["residuals"] = std::move(fit.residuals);
  d["weights"] = std::move(fit.weights);
  d["cost"] = fit.cost;
  d["stationarity"] = fit.stationarity;
  d["first_order"] = fit.first_order;
  d["curved"] = fit.curved;
  d["limit"] = fit.limit;
  d["rank"] = fit.rank;
  d["nit"] = fit.iterations;
  return d;
}

}  // namespace

void bind_bounded_linear(py::module_& m) {
  m.def("solve_bounded", &bounded, py::arg("A"), py::arg("B"), py::arg("lower"), py::arg("upper"), py::arg("start"),
        py::arg("max_exchanges"),
        "min ||A x - b|| in a box for every column of B. Where A or B is not finite, only the name of the culprit; all "
        "else is taken as checked.");
  m.def("fold_rows", &fold, py::arg("J"), py::arg("B"), py::arg("R"), py::arg("Z"),
        "The triangle of [R Z; J B]. Arguments are taken as checked.");
  m.def("least_absolute", &absolute, py::arg("A"), py::arg("b"), py::arg("max_exchanges"),
        "min ||b - A x||_1 with its certificate. Arguments are taken as checked.");
  m.def("robust_linear", &robust, py::arg("A"), py::arg("b"), py::arg("loss"), py::arg("c"), py::arg("start"),
        py::arg("max_iterations"), "min sum rho((b - A x) / c). Arguments are taken as checked.");
}

}  // namespace marquardt::bind
