// Linear least squares. Two doors: one for the plain system in arrays that can be read as they are, which is the usual
// case and looks at nothing twice, and one for everything else.
#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bind/python.hpp"
#include "marquardt/solve/linear.hpp"
#include "marquardt/solve/linear_stack.hpp"

namespace marquardt::bind {
namespace {

using Array = py::array_t<double>;

// From here on a solve may last over 2 ms (at 4 GFLOP/s), worth letting other threads run.
constexpr double long_solve = 8e6;

LinearMethod linear_method(const std::string& name) {
  if (name == "auto") return LinearMethod::automatic;
  if (name == "qr") return LinearMethod::qr;
  if (name == "cod") return LinearMethod::cod;
  if (name == "svd") return LinearMethod::svd;
  if (name == "cholesky") return LinearMethod::cholesky;
  throw py::value_error("method must be 'auto', 'qr', 'cod', 'svd' or 'cholesky', got '" + name + "'");
}

double work_of(Index m, Index n, Index k) {
  const auto rows = static_cast<double>(m), columns = static_cast<double>(n);
  return 2 * rows * columns * (std::min(rows, columns) + static_cast<double>(k));
}

// An exact NumPy array of doubles, aligned, of that many dimensions
bool readable(py::handle h, py::ssize_t least, py::ssize_t most) {
  if (Py_TYPE(h.ptr()) != py::detail::npy_api::get().PyArray_Type_ || !Array::check_(h)) return false;
  const auto* proxy = py::detail::array_proxy(h.ptr());
  if (proxy->nd < least || proxy->nd > most || (proxy->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) {
    return false;
  }
  for (int i = 0; i < proxy->nd; ++i) {
    if (proxy->strides[i] % static_cast<py::ssize_t>(sizeof(double)) != 0) return false;
  }
  return true;
}

// The last two dimensions of item `i` of a stack; one dimension is a column.
StridedView view(py::handle h, bool column = false) {
  const auto* a = py::detail::array_proxy(h.ptr());
  const auto* data = reinterpret_cast<const double*>(a->data);
  const auto unit = static_cast<py::ssize_t>(sizeof(double));
  if (column) return {data, a->dimensions[0], 1, {a->dimensions[0], a->strides[0] / unit}};
  return {data, a->dimensions[0], a->dimensions[1], {a->strides[1] / unit, a->strides[0] / unit}};
}

// Names of the fields, made once.
struct Names {
  py::object x = interned("x"), success = interned("success"), message = interned("message"),
             residuals = interned("residuals"), cost = interned("cost"), rank = interned("rank"),
             condition = interned("condition"), singular_values = interned("singular_values"),
             undetermined = interned("undetermined"), null_space = interned("null_space"),
             triangle = interned("triangle"), basis = interned("basis"), ridge = interned("ridge"),
             dof = interned("dof");
  py::object no_values, nothing = py::tuple(0);
};

Array copy_out(const Matrix& M, bool column) {
  Array out = column ? new_array<double>({M.rows()}) : new_array<double>({M.rows(), M.cols()});
  double* to = data_of(out);
  for (Index i = 0; i < M.rows(); ++i) {
    for (Index j = 0; j < M.cols(); ++j) *to++ = M(i, j);
  }
  return out;
}

// A solver and a result with their storage, left by one call for the next. Who finds none there, because another
// thread has them, makes new ones.
class Tools {
 public:
  struct Set {
    LinearSolver solver{{}};
    LinearFit fit;
  };
  // Up to here storage is worth keeping, and a quarter of a small solve to get: 32 kB for [A b].
  static constexpr Index small = 4096;

  Tools() = default;
  Tools(const Tools&) = delete;
  Tools& operator=(const Tools&) = delete;
  ~Tools() { delete left_.load(); }
  std::unique_ptr<Set> take() {
    std::unique_ptr<Set> found(left_.exchange(nullptr));
    return found ? std::move(found) : std::make_unique<Set>();
  }
  void leave(std::unique_ptr<Set> set) { delete left_.exchange(set.release()); }

 private:
  std::atomic<Set*> left_{nullptr};
};

// The result of a plain system of full rank, or None for all that needs a closer look.
py::object solve_plain(py::handle A, py::handle b, py::handle type, const py::object& message, const Names& names,
                       Tools& tools) {
  if (!readable(A, 2, 2) || !readable(b, 1, 2)) return py::none();
  const bool column = py::detail::array_proxy(b.ptr())->nd == 1;
  const StridedView matrix = view(A), right = view(b, column);
  const Index m = matrix.rows(), n = matrix.cols(), k = right.cols();
  if (m != right.rows() || m < n || n == 0 || k == 0) return py::none();
  const bool small = m * (n + k) <= Tools::small;
  std::unique_ptr<Tools::Set> set = small ? tools.take() : std::make_unique<Tools::Set>();
  const LinearFit& fit = set->fit;
  {
    std::optional<py::gil_scoped_release> unlocked;
    if (work_of(m, n, k) > long_solve) unlocked.emplace();
    if (!set->solver.solve(matrix, right, set->fit)) return py::none();
  }
  if (fit.rank < n || !fit.x.allFinite()) return py::none();
  py::object result = py::reinterpret_steal<py::object>(PyObject_CallNoArgs(type.ptr()));
  if (!result) throw py::error_already_set();
  set_item(result, names.x, copy_out(fit.x, column));
  set_item(result, names.success, py::bool_(true));
  set_item(result, names.message, message);
  set_item(result, names.residuals, copy_out(fit.residuals, column));
  set_item(result, names.cost, column ? py::object(py::float_(fit.cost[0])) : copy_out(fit.cost, true));
  set_item(result, names.rank, py::int_(fit.rank));
  set_item(result, names.condition, py::float_(fit.condition));
  set_item(result, names.singular_values, names.no_values);
  set_item(result, names.undetermined, names.nothing);
  set_item(result, names.null_space, py::none());
  set_item(result, names.triangle, copy_out(fit.triangle, false));
  set_item(result, names.basis, py::none());
  set_item(result, names.ridge, py::none());
  set_item(result, names.dof, py::float_(fit.dof));
  if (small) tools.leave(std::move(set));
  return result;
}

using Contiguous = py::array_t<double, py::array::c_style | py::array::forcecast>;

// Item i of a stack of matrices (count x rows x columns), C order; a stack of one serves all.
class Stack {
 public:
  explicit Stack(const std::optional<Contiguous>& given) : given_(given) {}
  bool any() const { return given_.has_value(); }
  StridedView item(Index i) const {
    const Index rows = given_->shape(1), columns = given_->shape(2);
    const Index at = given_->shape(0) == 1 ? 0 : i;
    return {given_->data() + at * rows * columns, rows, columns, {1, columns}};
  }
  Matrix matrix(Index i) const { return any() ? Matrix(item(i)) : Matrix(); }

 private:
  const std::optional<Contiguous>& given_;
};

// Results of many systems, one after the other in C order, all of the first one's shape.
class Gathered {
 public:
  explicit Gathered(Index expected) : expected_(expected) {}
  void add(const Matrix& M) {
    if (count_ == 0) {
      rows_ = M.rows();
      columns_ = M.cols();
      data_.resize(static_cast<std::size_t>(expected_ * rows_ * columns_));
    }
    double* next = data_.data() + count_ * rows_ * columns_;
    for (Index i = 0; i < rows_; ++i) {
      for (Index j = 0; j < columns_; ++j) *next++ = i < M.rows() && j < M.cols() ? M(i, j) : 0;
    }
    ++count_;
  }
  void add(double value) {
    if (count_ == 0) {
      rows_ = columns_ = 1;
      data_.resize(static_cast<std::size_t>(expected_));
    }
    data_[static_cast<std::size_t>(count_++)] = value;
  }
  Array array() {  // hands the memory over
    auto held = std::make_unique<std::vector<double>>(std::move(data_));
    const double* data = held->data();
    const py::capsule owner(held.get(), [](void* p) { delete static_cast<std::vector<double>*>(p); });
    held.release();
    return Array({count_, rows_, columns_}, data, owner);
  }

 private:
  std::vector<double> data_;
  Index expected_, count_ = 0, rows_ = 0, columns_ = 0;
};

// Many plain systems, tall or square, by automatic choice of the method.
py::dict solve_plain_stack(const Contiguous& A, const Contiguous& b, double rcond) {
  const Index count = A.shape(0), m = A.shape(1), n = A.shape(2), k = b.shape(2);
  const Array x = new_array<double>({count, n, k}), residuals = new_array<double>({count, m, k}),
              cost = new_array<double>({count, k, 1}), rank = new_array<double>({count, 1, 1}),
              condition = new_array<double>({count, 1, 1}), triangle = new_array<double>({count, n, n}),
              used = new_array<double>({count, 1, 1}), dof = new_array<double>({count, 1, 1});
  const LinearStack stack{A.data(), b.data(), count, m, n, k};
  const LinearStackFit fit{data_of(x),    data_of(residuals), data_of(cost),
                           data_of(rank), data_of(condition), data_of(triangle)};
  {
    std::optional<py::gil_scoped_release> unlocked;
    if (static_cast<double>(count) * work_of(m, n, k) > long_solve) unlocked.emplace();
    if (solve_stack(stack, rcond, fit) < count) throw std::invalid_argument("A and b must be finite");
    std::fill(data_of(used), data_of(used) + count, 0.0);
    for (Index i = 0; i < count; ++i) data_of(dof)[i] = static_cast<double>(m) - fit.rank[i];
  }
  py::dict out;
  out["x"] = x;
  out["residuals"] = residuals;
  out["cost"] = cost;
  out["rank"] = rank;
  out["condition"] = condition;
  out["singular_values"] = new_array<double>({count, 0, 1});
  out["triangle"] = triangle;
  out["null_space"] = new_array<double>({0, 0, 0});
  out["basis"] = new_array<double>({0, 0, 0});
  out["ridge"] = used;
  out["dof"] = dof;
  return out;
}

py::dict solve_many(const Contiguous& A, const Contiguous& b, double rcond, const std::string& method,
                    const std::optional<Contiguous>& weights, const std::optional<Contiguous>& covariance,
                    const std::optional<Contiguous>& ridge, const std::optional<Contiguous>& prior,
                    const std::optional<Contiguous>& constraints, const std::optional<Contiguous>& targets,
                    bool choose_ridge) {
  const std::optional<Contiguous> matrices = A, columns = b;
  const Stack As(matrices), bs(columns), w(weights), v(covariance), g(ridge), p(prior), c(constraints), d(targets);
  const Index count = A.shape(0), m = A.shape(1), n = A.shape(2), k = b.shape(2);
  const LinearOptions options{linear_method(method), rcond};
  const bool plain = !w.any() && !v.any() && !g.any() && !p.any() && !c.any();
  if (plain && options.method == LinearMethod::automatic && count > 1 && m >= n && n > 0 && k > 0) {
    return solve_plain_stack(A, b, rcond);
  }
  Gathered x(count), residuals(count), cost(count), rank(count), condition(count), singular(count), triangle(count),
      null_space(1), basis(1), used(count), dof(count);
  {
    std::optional<py::gil_scoped_release> unlocked;
    if (static_cast<double>(count) * work_of(m, n, k) > long_solve) unlocked.emplace();
    LinearSolver solver(options);
    LinearFit fit;
    for (Index i = 0; i < count; ++i) {
      const bool finite =
          plain
              ? solver.solve(As.item(i), bs.item(i), fit)
              : solve_linear(
                    As.item(i), bs.item(i), options,
                    {w.matrix(i), v.matrix(i), g.matrix(i), p.matrix(i), c.matrix(i), d.matrix(i), choose_ridge}, fit);
      if (!finite) throw std::invalid_argument("A and b must be finite");
      x.add(fit.x);
      residuals.add(fit.residuals);
      cost.add(fit.cost);
      rank.add(static_cast<double>(fit.rank));
      condition.add(fit.condition);
      singular.add(fit.singular_values);
      triangle.add(fit.triangle);
      used.add(fit.ridge);
      dof.add(fit.dof);
      if (count == 1) null_space.add(fit.null_space);
      if (i == 0) basis.add(fit.basis);
    }
  }
  py::dict out;
  out["x"] = x.array();
  out["residuals"] = residuals.array();
  out["cost"] = cost.array();
  out["rank"] = rank.array();
  out["condition"] = condition.array();
  out["singular_values"] = singular.array();
  out["triangle"] = triangle.array();
  out["null_space"] = null_space.array();
  out["basis"] = basis.array();
  out["ridge"] = used.array();
  out["dof"] = dof.array();
  return out;
}

}  // namespace

void bind_linear(py::module_& m) {
  Names names;
  names.no_values = Array(0);
  m.def(
      "lstsq_plain",
      [names, tools = std::make_shared<Tools>()](py::handle A, py::handle b, py::handle type,
                                                 const py::object& message) {
        return solve_plain(A, b, type, message, names, *tools);
      },
      "min ||A x - b|| as an instance of `type`, a dict, with that message; None unless A and b are arrays of finite "
      "doubles that fit, and A has full column rank.");
  m.def("solve_linear", &solve_many, py::arg("A"), py::arg("b"), py::arg("rcond"), py::arg("method"),
        py::arg("weights"), py::arg("covariance"), py::arg("ridge"), py::arg("prior"), py::arg("constraints"),
        py::arg("targets"), py::arg("choose_ridge"),
        "min ||A x - b|| for stacks (count, m, n) and (count, m, k), with what goes with them, each a stack or a stack "
        "of one. Arguments are taken as checked.");
}

}  // namespace marquardt::bind
