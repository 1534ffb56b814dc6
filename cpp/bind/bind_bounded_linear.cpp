// Bounded and robust linear least squares.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "bind/python.hpp"
#include "marquardt/linalg/safe_norm.hpp"
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

// Names of the fields, made once.
struct Names {
  py::object x = interned("x"), grad = interned("grad"), multipliers = interned("multipliers"),
             active_mask = interned("active_mask"), optimality = interned("optimality"), kkt = interned("kkt"),
             nit = interned("nit"), rank = interned("rank"), unique = interned("unique"), status = interned("status"),
             cost = interned("cost"), fun = interned("fun"), residuals = interned("residuals"),
             success = interned("success"), message = interned("message"), rnorm = interned("rnorm"),
             dual = interned("dual"), system = interned("_system");
};

// An exact NumPy array of doubles, aligned, of that many dimensions, contiguous in one of the two orders.
bool readable(py::handle h, int dimensions) {
  if (Py_TYPE(h.ptr()) != py::detail::npy_api::get().PyArray_Type_ || !py::array_t<double>::check_(h)) return false;
  const auto* proxy = py::detail::array_proxy(h.ptr());
  constexpr int contiguous = py::array::c_style | py::array::f_style;
  return proxy->nd == dimensions && (proxy->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0 &&
         (proxy->flags & contiguous) != 0;
}

// From here on a solve may last over 2 ms: worth letting other threads run.
constexpr Index long_solve = 20000;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// A x - b, with A in the order it has.
Vector residual(const Array& A, const VectorView& x, const VectorView& b) {
  Vector fun = -b;
  if ((A.flags() & py::array::c_style) != 0) {
    fun.noalias() += Eigen::Map<const RowMajor>(A.data(), A.shape(0), A.shape(1)) * x;
  } else {
    fun.noalias() += Eigen::Map<const Matrix>(A.data(), A.shape(0), A.shape(1)) * x;
  }
  return fun;
}

// What every kind of result has; of plain numbers.
void fill(const py::object& result, const BoundedFit& fit, const Vector& fun, double cost, const py::tuple& end,
          const Names& names) {
  const int status = number_of(fit.status[0]);
  const bool unique = fit.unique[0], others = status > 0 && !unique;
  set_item(result, names.x, array_of<double, 1>(fit.x));
  set_item(result, names.grad, array_of<double, 1>(fit.gradient));
  set_item(result, names.multipliers, array_of<double, 1>(multipliers(fit)));
  set_item(result, names.active_mask, array_of<int, 1>(fit.active));
  set_item(result, names.optimality, py::float_(fit.optimality[0]));
  set_item(result, names.kkt, py::float_(fit.kkt[0]));
  set_item(result, names.nit, py::int_(fit.iterations[0]));
  set_item(result, names.rank, py::int_(fit.ranks[0]));
  set_item(result, names.unique, py::bool_(unique));
  set_item(result, names.status, end[0]);
  set_item(result, names.cost, py::float_(cost));
  set_item(result, names.fun, array_of<double, 1>(fun));
  set_item(result, names.residuals, array_of<double, 1>(-fun));
  set_item(result, names.success, py::bool_(status > 0));
  set_item(result, names.message, end[others ? 2 : 1]);
}

// The result for one right-hand side in arrays that can be read as they are, or None for all that needs a closer look.
// Without bounds: x >= 0, and the fields of nnls.
py::object bounded_plain(py::handle A, py::handle b, py::handle lower, py::handle upper, int max_exchanges,
                         py::handle type, const py::dict& ends, const Names& names) {
  if (!readable(A, 2) || !readable(b, 1)) return py::none();
  const auto matrix = py::reinterpret_borrow<Array>(A), right = py::reinterpret_borrow<Array>(b);
  const Index m = matrix.shape(0), n = matrix.shape(1);
  if (right.shape(0) != m || m == 0 || n == 0) return py::none();
  const bool nonnegative = lower.is_none();
  const Vector low = nonnegative ? Vector(Vector::Zero(n)) : lower.cast<Vector>();
  const Vector high = nonnegative ? Vector(Vector::Constant(n, infinity)) : upper.cast<Vector>();
  const Eigen::Map<const Vector> given(right.data(), m);
  Matrix rows = own(matrix);
  if (!rows.allFinite() || !given.allFinite()) return py::none();
  BoundedFit fit;
  {
    std::optional<py::gil_scoped_release> unlocked;
    if (m * n > long_solve) unlocked.emplace();
    fit = solve_bounded(std::move(rows), given, low, high, Matrix(n, 0), max_exchanges);
  }
  const Vector fun = residual(matrix, fit.x.col(0), given);
  const double cost = 0.5 * fun.squaredNorm();
  // solves that failed, and sizes whose squares overflow, take the other way
  if (fit.status[0] == BoundedStatus::stalled || !std::isfinite(cost)) return py::none();
  const py::object result = py::reinterpret_steal<py::object>(PyObject_CallNoArgs(type.ptr()));
  if (!result) throw py::error_already_set();
  fill(result, fit, fun, cost, ends[py::int_(number_of(fit.status[0]))], names);
  if (nonnegative) {
    set_item(result, names.rnorm, py::float_(safe_norm(fun)));
    set_item(result, names.dual, array_of<double, 1>(-fit.gradient));
  }
  const py::tuple system = py::make_tuple(matrix, right);
  if (PyObject_GenericSetAttr(result.ptr(), names.system.ptr(), system.ptr()) != 0) throw py::error_already_set();
  return result;
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
  m.def(
      "bounded_plain",
      [names = Names()](py::handle A, py::handle b, py::handle lower, py::handle upper, int max_exchanges,
                        py::handle type, const py::dict& ends) {
        return bounded_plain(A, b, lower, upper, max_exchanges, type, ends, names);
      },
      "min ||A x - b|| in a box, or x >= 0 for None and None, as an instance of `type`, a dict; `ends` has for each "
      "status its object, its sentence, and that where others fit as well. None unless A and b are contiguous arrays "
      "of finite doubles that fit.");
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
