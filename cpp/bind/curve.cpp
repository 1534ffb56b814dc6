// A model f(xdata, *p) and its data as what the core asks for, residuals of a vector p:
//   r = (f(xdata, *p) - y) w         w = 1 / sigma, each residual its own weight
//   L r = f(xdata, *p) - y           L L' = covariance of the data
// and the same for the rows of the Jacobian. In Python this would be a closure, which costs a frame, a tuple of
// parameters and two arrays for each evaluation.
//
// A function object is a PyCFunction of one argument whose `self` is a capsule. The core finds the curve in it and asks
// that itself; for all others it is the cheapest thing Python can call. A capsule takes no part in garbage collection,
// so the object must not outlive the solve it was made for.
#include "bind/curve.hpp"

#include <algorithm>
#include <complex>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace marquardt::bind {
namespace {

using RealArray = py::array_t<double, py::array::c_style | py::array::forcecast>;
using ComplexArray = py::array_t<std::complex<double>, py::array::c_style | py::array::forcecast>;

std::string shape_of(const py::array& a) { return py::str(py::tuple(a.attr("shape"))); }

// Multiplies rows by w, or solves with the triangle L; nothing where there is neither.
struct Whitening {
  Vector w;  // empty, one weight for all, or one a row
  Matrix L;  // 0 x 0, or lower triangular

  bool none() const { return w.size() == 0 && L.size() == 0; }
  Index rows() const { return L.size() > 0 ? L.rows() : w.size(); }  // 0 and 1 fit any number

  // In place; rows are data, any number of columns.
  template <class Derived>
  void apply(Eigen::MatrixBase<Derived>& values) const {
    using Scalar = typename Derived::Scalar;
    if (L.size() > 0) {
      if constexpr (std::is_same_v<Scalar, double>) {
        L.triangularView<Eigen::Lower>().solveInPlace(values);
      } else {  // the complex step, which is rare: a copy of L at each evaluation does
        const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic> complex_L = L.cast<Scalar>();
        complex_L.template triangularView<Eigen::Lower>().solveInPlace(values);
      }
    } else if (w.size() == 1) {
      values *= w[0];
    } else if (w.size() > 1) {
      values.array().colwise() *= w.array().template cast<Scalar>();
    }
  }
};

Whitening read_whitening(const py::object& given) {
  Whitening whitening;
  if (given.is_none()) return whitening;
  const RealArray a(given);
  if (a.ndim() == 2) {
    whitening.L = Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(a.data(), a.shape(0), a.shape(1));
  } else {
    whitening.w = Eigen::Map<const Vector>(a.data(), a.size());
  }
  return whitening;
}

// A function of (xdata, *p), called with the entries of an array as NumPy scalars: those overflow to infinity and have
// the square root of -1 as NaN, where Python's floats would raise. Scalars that nobody kept are used again, as making
// three of them takes a tenth of what a short model does.
class Model {
 public:
  Model(py::object f, py::object xdata) : f_(std::move(f)), xdata_(std::move(xdata)) {}

  py::object operator()(const Eigen::Map<const Vector>& p) {
    Arguments arguments = std::exchange(arguments_, {});  // f may come back here
    arguments.resize(static_cast<std::size_t>(p.size()));
    const double* value = p.data();
    for (py::object& argument : arguments) set(argument, *value++);
    const py::object returned = call(arguments);
    arguments_ = std::move(arguments);
    return returned;
  }

  // Of any sequence: complex numbers, say.
  py::object operator()(PyObject* p) {
    if (is_plain_vector(p)) return (*this)(numbers_in(p));
    Arguments arguments(py::len(p));
    for (std::size_t j = 0; j < arguments.size(); ++j) {
      arguments[j] = py::reinterpret_steal<py::object>(PySequence_GetItem(p, static_cast<Py_ssize_t>(j)));
      if (!arguments[j]) throw py::error_already_set();
    }
    return call(arguments);
  }

 private:
  using Arguments = std::vector<py::object>;

  void set(py::object& argument, double value) {
#ifndef Py_GIL_DISABLED  // where a reference count proves nothing
    if (argument && Py_REFCNT(argument.ptr()) == 1) {
      reinterpret_cast<PyFloatObject*>(argument.ptr())->ob_fval = value;  // a numpy.float64 is a float
      return;
    }
#endif
    argument = float64_(value);
  }

  py::object call(const Arguments& arguments) {
    std::vector<PyObject*> stack(arguments.size() + 2);  // a place before the arguments is the callee's
    stack[1] = xdata_.ptr();
    std::transform(arguments.begin(), arguments.end(), stack.begin() + 2, [](const py::object& a) { return a.ptr(); });
    return call_vector(f_, stack);
  }

  py::object f_, xdata_;
  py::object float64_ = py::dtype::of<double>().attr("type");
  Arguments arguments_;
};

// What a function returned, as an array of numbers.
py::array numbers(const py::object& returned, const char* who) {
  const auto a = py::array::ensure(returned);
  if (!a) PyErr_Clear();
  const char kind = a ? a.dtype().kind() : '?';
  if (kind == 'f' || kind == 'i' || kind == 'u' || kind == 'b' || kind == 'c') return a;
  if (kind == 'O') {
    bool all = true;
    for (const py::handle& item : a.attr("ravel")().attr("tolist")()) all = all && PyNumber_Check(item.ptr());
    if (all && a.size() > 0) return py::array(a.attr("astype")("float64"));
  }
  throw py::type_error(std::string(who) + " must return an array of real numbers, got " +
                       std::string(py::str(py::type::of(returned).attr("__name__"))));
}

bool is_complex(const py::object& a) {
  return py::isinstance<py::array>(a) && py::reinterpret_borrow<py::array>(a).dtype().kind() == 'c';
}

// Complex numbers are for complex p only: those of the complex step.
py::array fitting_numbers(const py::object& returned, const char* who, bool complex_p) {
  py::array a = numbers(returned, who);
  if (a.dtype().kind() == 'c' && !complex_p)
    throw py::type_error(std::string(who) + " must return real numbers, got dtype " + std::string(py::str(a.dtype())));
  return a;
}

// The core reads the precision a model is computed in from the type of its numbers, so that type is kept.
py::object in_precision_of(const py::array& values, py::array result) {
  const py::dtype type = values.dtype();
  if (type.kind() != 'f' || type.itemsize() >= py::ssize_t{sizeof(double)}) return std::move(result);
  return result.attr("astype")(type);
}

class Curve {
 public:
  Curve(py::object f, py::object xdata, py::array ydata, Whitening whitening, bool together)
      : model_(std::move(f), std::move(xdata)),
        shape_(std::move(ydata)),
        y_(Eigen::Map<const Vector>(RealArray(shape_).data(), shape_.size())),
        whitening_(std::move(whitening)),
        together_(together) {}

  py::object operator()(PyObject* p) {
    const py::object returned = model_(p);
    if (!together_) return residuals(returned, p);
    if (!py::isinstance<py::tuple>(returned) || py::len(returned) != 2) {
      throw py::type_error("with jac=True f must return a tuple (values, Jacobian), got " +
                           std::string(py::str(py::type::of(returned).attr("__name__"))));
    }
    const auto pair = py::reinterpret_borrow<py::tuple>(returned);
    return py::make_tuple(residuals(pair[0], p), rows(pair[1]));
  }

  py::object jacobian(PyObject* p) { return rows(model_(p)); }

  bool together() const { return together_; }
  py::object model(const Vector& p) { return model_({p.data(), p.size()}); }

  // Whether f returned what it usually does: then in r.
  bool usual_residuals(const py::object& returned, Vector& r) const {
    if (!usual(returned)) return false;
    r.resize(y_.size());
    subtract(numbers_in(returned), r);
    return true;
  }

  // What f returned for p; null for a p that is real.
  py::object residuals(const py::object& returned, py::handle p) const {
    if (usual(returned)) return difference(numbers_in(returned));
    const py::array values = fitting_numbers(returned, "f", p && is_complex(py::reinterpret_borrow<py::object>(p)));
    require_shape(values);
    if (values.dtype().kind() == 'c') {
      const ComplexArray z(values);
      return difference(Eigen::Map<const Eigen::VectorXcd>(z.data(), z.size()));
    }
    const RealArray v(values);
    return in_precision_of(values, difference(Eigen::Map<const Vector>(v.data(), v.size())));
  }

 private:
  // A contiguous vector of doubles, one for each datum.
  bool usual(const py::object& returned) const {
    return is_plain_vector(returned) && shape_.ndim() <= 1 && numbers_in(returned).size() == y_.size();
  }

  // One number stands for as many as the other side has; otherwise there must be as many values as data, in the same
  // shape or in a row. A column of m values against m data is m residuals, not the m x m of broadcasting.
  void require_shape(const py::array& values) const {
    const bool same = values.size() == y_.size() &&
                      (values.ndim() <= 1 || shape_.ndim() <= 1 || values.attr("shape").equal(shape_.attr("shape")));
    if (same || (values.size() == 1 && y_.size() > 0) || (y_.size() == 1 && values.size() > 0)) return;
    throw py::value_error("f must return as many values as ydata has: shape " + shape_of(shape_) + ", got shape " +
                          shape_of(values));
  }

  template <class Column>
  py::array difference(const Eigen::Map<const Column>& values) const {
    const Index m = std::max(values.size(), y_.size());
    py::array_t<typename Column::Scalar> result(m);
    Eigen::Map<Column> r(result.mutable_data(), m);
    subtract(values, r);
    return std::move(result);
  }

  // r = (values - y) w
  template <class Column, class Derived>
  void subtract(const Eigen::Map<const Column>& values, Eigen::MatrixBase<Derived>& r) const {
    const Index m = r.size();
    require_weights(m, "ydata");
    const auto spread = [m](const auto& column) { return column.replicate(m / column.size(), 1); };
    const auto y = y_.template cast<typename Column::Scalar>();
    if (values.size() == m && y.size() == m) {
      r = values - y;
    } else {
      r = spread(values) - spread(y.eval());
    }
    whitening_.apply(r);
  }

  void require_weights(Index m, const char* what) const {
    const Index rows = whitening_.rows();
    if (rows <= 1 || rows == m) return;
    throw py::value_error("sigma must have as many entries as " + std::string(what) + ", which has " +
                          std::to_string(m) + ", got " + std::to_string(rows));
  }

  // Rows of the Jacobian, weighted; all axes but the last are those of the data.
  py::object rows(const py::object& returned) const {
    py::array J = fitting_numbers(returned, "jac", false);
    if (J.ndim() > 2) J = py::array(J.attr("reshape")(-1, J.shape(J.ndim() - 1)));
    if (whitening_.none() || J.size() == 0) return std::move(J);
    const RealArray read(J);
    const Index m = J.ndim() > 0 ? J.shape(0) : 1, n = J.ndim() == 2 ? J.shape(1) : 1;
    require_weights(m, "the Jacobian has rows");
    Matrix weighted =
        Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(read.data(), m, n);
    whitening_.apply(weighted);
    return in_precision_of(J, array_of(weighted));
  }

  Model model_;
  py::array shape_;  // ydata as it came
  Vector y_;
  Whitening whitening_;
  bool together_;
};

constexpr const char* capsule_name = "marquardt.Curve";

// An error of C++ never passes through Python's frames: it becomes an exception of Python's here.
template <class Call>
PyObject* guarded(PyObject* self, Call&& call) {
  try {
    return call(*static_cast<Curve*>(PyCapsule_GetPointer(self, capsule_name))).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (py::builtin_exception& error) {
    error.set_error();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* call_residuals(PyObject* self, PyObject* p) {
  return guarded(self, [p](Curve& curve) { return curve(p); });
}

PyObject* call_jacobian(PyObject* self, PyObject* p) {
  return guarded(self, [p](Curve& curve) { return curve.jacobian(p); });
}

py::object function_of(std::unique_ptr<Curve> curve, PyMethodDef& definition) {
  const auto destroy = [](PyObject* capsule) {
    delete static_cast<Curve*>(PyCapsule_GetPointer(capsule, capsule_name));
  };
  const auto self = py::reinterpret_steal<py::object>(PyCapsule_New(curve.get(), capsule_name, destroy));
  if (!self) throw py::error_already_set();
  curve.release();
  const auto function = py::reinterpret_steal<py::object>(PyCFunction_New(&definition, self.ptr()));
  if (!function) throw py::error_already_set();
  return function;
}

// Python keeps pointers to these as long as a function lives; they are never written to.
PyMethodDef residuals_definition = {"curve_residuals", call_residuals, METH_O, "Weighted residuals at a vector p."};
PyMethodDef jacobian_definition = {"curve_jacobian", call_jacobian, METH_O, "Their Jacobian at a vector p."};

// The residuals without an array of Python's in between.
class CurveFunction : public PyFunction {
 public:
  CurveFunction(const py::object& function, Curve& curve)
      : PyFunction(function, py::tuple(), false, false), curve_(curve) {}

  void value(const Vector& x, Vector& r) override {
    const py::object returned = curve_.model(x);
    if (curve_.usual_residuals(returned, r)) {
      expect(r.size());
    } else {
      read_residuals(curve_.residuals(returned, py::handle()), r);
    }
  }

 private:
  Curve& curve_;
};

}  // namespace

std::unique_ptr<PyFunction> curve_in(const py::object& fun) {
  if (!PyCFunction_CheckExact(fun.ptr()) || PyCFunction_GET_FUNCTION(fun.ptr()) != call_residuals) return nullptr;
  auto& curve = *static_cast<Curve*>(PyCapsule_GetPointer(PyCFunction_GET_SELF(fun.ptr()), capsule_name));
  if (curve.together()) return nullptr;
  return std::make_unique<CurveFunction>(fun, curve);
}

void bind_curve(py::module_& m) {
  m.def(
      "curve_residuals",
      [](py::object f, py::object xdata, py::array ydata, const py::object& whitening, bool together) {
        return function_of(std::make_unique<Curve>(std::move(f), std::move(xdata), std::move(ydata),
                                                   read_whitening(whitening), together),
                           residuals_definition);
      },
      py::arg("f"), py::arg("xdata"), py::arg("ydata"), py::arg("whitening"), py::arg("together"), py::pos_only(),
      "The function p -> whitened f(xdata, *p) - ydata. whitening: None, weights, or a lower triangle to solve with; "
      "together: f returns (values, Jacobian). For the length of one solve only.");
  m.def(
      "curve_jacobian",
      [](py::object jac, py::object xdata, py::array ydata, const py::object& whitening) {
        return function_of(std::make_unique<Curve>(std::move(jac), std::move(xdata), std::move(ydata),
                                                   read_whitening(whitening), false),
                           jacobian_definition);
      },
      py::arg("jac"), py::arg("xdata"), py::arg("ydata"), py::arg("whitening"), py::pos_only(),
      "The function p -> whitened jac(xdata, *p).");
}

}  // namespace marquardt::bind
