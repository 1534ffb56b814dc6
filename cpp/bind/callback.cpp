#include "bind/callback.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace marquardt::bind {
namespace {

// Letting the lock go costs 40 ns alone, but about 5 ms when another Python thread is busy. It pays around arithmetic
// of some 2 ms, which is 1e7 operations on one core.
constexpr double worth_releasing = 1e7;

// How long Ctrl-C may wait where the lock has to be taken for it: nobody notices a twentieth of a second, and a lock
// that another thread holds costs 5 ms.
constexpr std::chrono::milliseconds between_signals(50);

std::string shape_of(const py::array& a) { return py::str(py::tuple(a.attr("shape"))); }

[[noreturn]] void refuse(const char* who, const py::object& returned) {
  throw py::type_error(std::string(who) + " must return an array of real numbers, got " +
                       std::string(py::str(py::type::of(returned).attr("__name__"))));
}

// An array of Python objects, if each is a number (None would silently become NaN).
py::array numbers_of_objects(const py::array& a, const char* who) {
  for (const py::handle& item : a.attr("ravel")().attr("tolist")()) {
    if (!PyNumber_Check(item.ptr()) || PyComplex_Check(item.ptr()))
      refuse(who, py::reinterpret_borrow<py::object>(item));
  }
  return py::array(a.attr("astype")("float64"));
}

// What NumPy makes of an object; null if nothing. Most functions return a plain ndarray: no need to ask NumPy then.
py::array any_array(const py::object& returned) {
  if (Py_TYPE(returned.ptr()) == py::detail::npy_api::get().PyArray_Type_)
    return py::reinterpret_borrow<py::array>(returned);
  return py::array::ensure(returned);
}

// Any real array, any layout; lists, scalars and arrays of other libraries included.
py::array real_array(const py::object& returned, const char* who) {
  py::array a = any_array(returned);
  if (!a) {
    PyErr_Clear();
    refuse(who, returned);
  }
  const char kind = a.dtype().kind();
  if (kind == 'f' || kind == 'i' || kind == 'u' || kind == 'b') return a;
  if (kind == 'O') return numbers_of_objects(a, who);
  throw py::type_error(std::string(who) + " must return real numbers, got dtype " + std::string(py::str(a.dtype())));
}

// The unit of rounding of a real array's numbers: of single or half precision where they come in that.
double rounding_of(const py::array& a) {
  if (a.dtype().kind() != 'f' || a.itemsize() >= py::ssize_t{sizeof(double)}) return epsilon;
  return a.itemsize() == py::ssize_t{sizeof(float)} ? 0x1p-23 : 0x1p-10;
}

// float64 in native order whose strides are whole elements; anything else is converted.
py::array as_double(py::array a) {
  bool whole = py::isinstance<py::array_t<double>>(a);
  for (py::ssize_t k = 0; whole && k < a.ndim(); ++k) whole = a.strides(k) % py::ssize_t{sizeof(double)} == 0;
  if (whole && (a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) return a;
  return py::array_t<double, py::array::c_style | py::array::forcecast>(a);
}

// Whether this is what functions usually return.
bool is_usual(const py::object& returned) { return is_plain(returned, by_rows | by_columns); }

// What a function returned, as float64, and the unit of rounding that it came with.
struct Numbers {
  Numbers(const py::object& returned, const char* who) {
    if (is_usual(returned)) {
      array = py::reinterpret_borrow<py::array>(returned);
      return;
    }
    array = real_array(returned, who);
    rounding = rounding_of(array);
    array = as_double(std::move(array));
  }
  py::array array{py::reinterpret_steal<py::array>(py::handle())};
  double rounding = epsilon;
};

// Rows at a time of a transposition: few enough to stay in the first cache while every column takes its share.
constexpr Index rows_at_once = 32;

// Copies a real array of at most two dimensions into `out` (already sized), reading strides as they are.
template <class Derived>
void copy_real(const py::array& a, Index rows, Index cols, Index row_stride, Index col_stride,
               Eigen::PlainObjectBase<Derived>& out) {
  using Scalar = typename Derived::Scalar;
  using Strides = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  const Index size = static_cast<Index>(sizeof(Scalar));
  using View = Eigen::Map<const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>, 0, Strides>;
  const View in(static_cast<const Scalar*>(a.data()), rows, cols, Strides(col_stride / size, row_stride / size));
  const Index block = cols > 1 && std::abs(row_stride) > std::abs(col_stride) ? rows_at_once : rows;
  for (Index i = 0; i < rows; i += block) {
    const Index count = std::min(block, rows - i);
    out.middleRows(i, count) = in.middleRows(i, count);
  }
}

// From so many numbers on a Jacobian that nobody else holds is read where it lies; fewer are copied sooner.
constexpr Index worth_keeping = 1000;

// Whether nobody but the caller holds these numbers, so that they will stay as they are.
bool is_sole_owner([[maybe_unused]] const py::object& held) {
#ifdef Py_GIL_DISABLED
  return false;  // a reference count proves nothing without the lock
#else
  constexpr int owns = py::detail::npy_api::NPY_ARRAY_OWNDATA_;
  const auto* array = py::detail::array_proxy(held.ptr());
  if (Py_REFCNT(held.ptr()) != 1) return false;
  if (array->flags & owns) return true;
  PyObject* base = array->base;  // of a transposed array, say
  return base && Py_TYPE(base) == py::detail::npy_api::get().PyArray_Type_ && Py_REFCNT(base) == 1 &&
         (py::detail::array_proxy(base)->flags & owns);
#endif
}

// The array itself as J, if it is large, as functions usually return one, and nobody else's. The lock is held when J
// lets it go: whoever calls Python during a solve holds it all along.
bool keep_jacobian(py::object& returned, Index m, Index n, Jacobian& J) {
  if (!is_usual(returned) || !is_sole_owner(returned)) return false;
  const auto a = py::reinterpret_borrow<py::array>(returned);
  if (a.ndim() != 2 || a.shape(0) != m || a.shape(1) != n || a.size() < worth_keeping) return false;
  const auto* data = static_cast<const double*>(a.data());
  const auto let_go = [](void* array) { Py_DECREF(static_cast<PyObject*>(array)); };
  J.borrow(data, m, n, a.flags() & by_rows, std::shared_ptr<void>(returned.release().ptr(), let_go));
  return true;
}

// A Jacobian of m rows and n columns. Returns the unit of rounding of its numbers.
double read_jacobian(py::object returned, Index m, Index n, Jacobian& filled) {
  if (keep_jacobian(returned, m, n, filled)) return epsilon;
  const Numbers numbers(returned, "jac");
  const py::array& a = numbers.array;
  Matrix& J = filled.own();
  J.resize(m, n);
  if (a.ndim() == 2 && a.shape(0) == m && a.shape(1) == n) {
    copy_real(a, m, n, a.strides(0), a.strides(1), J);
  } else if (a.ndim() <= 1 && (m == 1 || n == 1) && a.size() == m * n) {  // a single row or column may be flat
    const Index stride = a.ndim() == 1 ? a.strides(0) : 0;
    copy_real(a, m, n, n == 1 ? stride : 0, n == 1 ? 0 : stride, J);
  } else {
    throw py::value_error("jac must return an array of shape (" + std::to_string(m) + ", " + std::to_string(n) +
                          ") (residuals, parameters), got shape " + shape_of(a));
  }
  return numbers.rounding;
}

template <class Scalar>
py::array_t<Scalar> points_as_rows(const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>& X) {
  py::array_t<Scalar> rows({X.cols(), X.rows()});  // a column-major n x k is a row-major k x n
  std::memcpy(rows.mutable_data(), X.data(), sizeof(Scalar) * static_cast<std::size_t>(X.size()));
  return rows;
}

void require_stack(const py::array& a, Index points, Index m) {
  if (a.ndim() != 2 || a.shape(0) != points || (m >= 0 && a.shape(1) != m)) {
    throw py::value_error("vectorized fun must return shape (" + std::to_string(points) + ", " +
                          (m >= 0 ? std::to_string(m) : std::string("m")) + ") for " + std::to_string(points) +
                          " stacked points, got shape " + shape_of(a));
  }
}

}  // namespace

// ---- Callable -------------------------------------------------------------------------------------------------------

py::object call_vector(const py::object& function, std::vector<PyObject*>& stack) {
  const std::size_t count = (stack.size() - 1) | PY_VECTORCALL_ARGUMENTS_OFFSET;
  PyObject* returned = PyObject_Vectorcall(function.ptr(), stack.data() + 1, count, nullptr);
  if (!returned) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(returned);
}

Callable::Callable(py::object function, const py::tuple& args) : function_(std::move(function)) {
  for (const auto& arg : args) args_.push_back(py::reinterpret_borrow<py::object>(arg));
  stack_.resize(args_.size() + 2);  // one place before the arguments for the callee's use, one for x
}

py::object Callable::operator()(const Vector& x) {
#ifdef Py_GIL_DISABLED
  const bool mine = false;  // a reference count proves nothing without the lock
#else
  const bool mine = x_.size() == x.size() && Py_REFCNT(x_.ptr()) == 1;
#endif
  if (!mine) x_ = py::array_t<double>(x.size());
  std::memcpy(x_.mutable_data(), x.data(), sizeof(double) * static_cast<std::size_t>(x.size()));
  stack_[1] = x_.ptr();
  for (std::size_t i = 0; i < args_.size(); ++i) stack_[i + 2] = args_[i].ptr();
  return call_vector(function_, stack_);
}

py::object Callable::operator()(py::object x) {
  std::vector<PyObject*> stack{nullptr, x.ptr()};
  for (const py::object& arg : args_) stack.push_back(arg.ptr());
  return call_vector(function_, stack);
}

// ---- PyFunction -----------------------------------------------------------------------------------------------------

PyFunction::PyFunction(py::object fun, const py::tuple& args, bool vectorized, bool ravel)
    : fun_(std::move(fun), args), vectorized_(vectorized), ravel_(ravel) {}

void PyFunction::value(const Vector& x, Vector& r) { read_residuals(fun_(x), r); }

void PyFunction::read_residuals(const py::object& returned, Vector& r) {
  Numbers numbers(returned, "fun");
  py::array& a = numbers.array;
  if (ravel_ && a.ndim() != 1) a = py::array(a.attr("ravel")());
  if (a.ndim() > 1) {
    throw py::value_error("fun must return a one-dimensional array of residuals, got shape " + shape_of(a));
  }
  const Index m = a.ndim() == 0 ? 1 : a.shape(0);
  if (m == 0) throw py::value_error("fun must return at least one residual, got shape " + shape_of(a));
  expect(m);
  precision_ = std::max(precision_, numbers.rounding);
  r.resize(m);
  copy_real(a, m, 1, a.ndim() == 0 ? 0 : a.strides(0), 0, r);
}

void PyFunction::expect(Index m) {
  if (m_ >= 0 && m != m_) {
    throw py::value_error("fun must return " + std::to_string(m_) + " residuals as at first, got shape (" +
                          std::to_string(m) + ",)");
  }
  m_ = m;
}

void PyFunction::values(const Matrix& X, Matrix& R) {
  if (!vectorized_) {
    for (Index k = 0; k < X.cols(); ++k) {
      point_ = X.col(k);
      value(point_, values_);
      if (k == 0) R.resize(values_.size(), X.cols());
      R.col(k) = values_;
    }
    return;
  }
  py::array a = real_array(fun_(py::object(points_as_rows<double>(X))), "fun");
  require_stack(a, X.cols(), m_);
  a = as_double(std::move(a));
  R.resize(a.shape(1), X.cols());
  copy_real(a, a.shape(1), X.cols(), a.strides(1), a.strides(0), R);
}

void PyFunction::values(const Eigen::MatrixXcd& X, Eigen::MatrixXcd& R) {
  const auto complex_array = [&](const py::object& returned) {
    const auto a = py::array_t<std::complex<double>>::ensure(returned);  // an error is cleared here
    if (!a) refuse("fun", returned);
    return a;
  };
  if (vectorized_) {
    const py::array a = complex_array(fun_(py::object(points_as_rows<std::complex<double>>(X))));
    require_stack(a, X.cols(), m_);
    R.resize(a.shape(1), X.cols());
    copy_real(a, a.shape(1), X.cols(), a.strides(1), a.strides(0), R);
    return;
  }
  R.resize(m_, X.cols());
  Eigen::VectorXcd r;
  for (Index k = 0; k < X.cols(); ++k) {
    py::array_t<std::complex<double>> x(X.rows());
    std::memcpy(x.mutable_data(), X.col(k).data(), sizeof(std::complex<double>) * static_cast<std::size_t>(X.rows()));
    const py::array a = complex_array(fun_(py::object(x))).attr("reshape")(-1);
    if (a.shape(0) != m_) {
      throw py::value_error("fun must return " + std::to_string(m_) + " residuals for complex x too, got shape " +
                            shape_of(a));
    }
    r.resize(m_);
    copy_real(a, m_, 1, a.strides(0), 0, r);
    R.col(k) = r;
  }
}

// ---- PyResidual, PyPair ---------------------------------------------------------------------------------------------

PyResidual::PyResidual(Function& function, py::object jac, const py::tuple& args)
    : function_(function), jac_(std::move(jac), args) {}

void PyResidual::jacobian(const Vector& x, const Vector& r, Jacobian& J) {
  derivative_error_ = std::max(derivative_error_, read_jacobian(jac_(x), r.size(), x.size(), J));
}

void PyPair::value(const Vector& x, Vector& r) {
  const py::object returned = function_.call(x);
  if (!py::isinstance<py::tuple>(returned) || py::len(returned) != 2) {
    throw py::type_error("with jac=True fun must return a tuple (residuals, Jacobian), got " +
                         std::string(py::str(py::type::of(returned).attr("__name__"))));
  }
  const auto pair = py::reinterpret_borrow<py::tuple>(returned);
  function_.read_residuals(pair[0], r);
  J_ = pair[1];
  x_ = x;
}

void PyPair::jacobian(const Vector& x, const Vector& r, Jacobian& J) {
  if (!J_ || x_ != x) {
    Vector again;
    value(x, again);
  }
  derivative_error_ = std::max(derivative_error_, read_jacobian(std::move(J_), r.size(), x.size(), J));
}

py::object array_of(const Jacobian& J) {
  if (J.owner()) return py::reinterpret_borrow<py::object>(static_cast<PyObject*>(J.owner().get()));
  const StridedView numbers = J.view();
  const auto array = new_array<double>({numbers.rows(), numbers.cols()}, numbers.innerStride() == 1);
  std::copy_n(numbers.data(), numbers.size(), data_of(array));
  return array;
}

// ---- PyObserver -----------------------------------------------------------------------------------------------------

Status PyObserver::see(const History& history, const Point& here) {
  if (lock_ == Lock::held) return look(history, here);
  const Clock::time_point now = Clock::now();
  if (observe_.is_none() && now - last_ < between_signals) return Status::running;
  last_ = now;
  const py::gil_scoped_acquire locked;
  return look(history, here);
}

Status PyObserver::look(const History& history, const Point& here) {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  if (observe_.is_none()) return Status::running;
  const std::size_t size = history.records.size();
  const py::object last = size > 1 ? py::cast(history.records[size - 2]) : py::object(py::none());
  const py::object stop = observe_(py::cast(here.x), py::cast(history.records.back()), last);
  const int truth = PyObject_IsTrue(stop.ptr());
  if (truth < 0) throw py::error_already_set();
  return truth ? Status::stopped : Status::running;
}

void PyObserver::arithmetic_begins(double flops) {
  if (lock_ == Lock::held && flops >= worth_releasing) released_ = PyEval_SaveThread();
}

void PyObserver::arithmetic_ends() {
  if (released_) PyEval_RestoreThread(std::exchange(released_, nullptr));
}

}  // namespace marquardt::bind
