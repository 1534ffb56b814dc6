// THE door between the core and Python: the user's residual, Jacobian and observer. Everything about calling Python
// stands here: the interpreter's lock, exceptions, Ctrl-C, and what an array must look like.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "bind/python.hpp"
#include "marquardt/problem/residual.hpp"
#include "marquardt/solve/minimise.hpp"

namespace marquardt::bind {

// A float64 array as an argument: anything else is converted. Cheaper by half a microsecond than an Eigen argument,
// whose conversion goes through NumPy's assignment.
using FloatArray = py::array_t<double, py::array::c_style | py::array::forcecast>;

inline Vector vector_of(const FloatArray& array) { return Eigen::Map<const Vector>(array.data(), array.size()); }

// function(*arguments). `stack` are the arguments after a place that is the callee's.
py::object call_vector(const py::object& function, std::vector<PyObject*>& stack);

// A Python callable of (x, *args), called by vectorcall. The array for x is reused as long as nobody else holds it.
class Callable {
 public:
  Callable(py::object function, const py::tuple& args);
  py::object operator()(const Vector& x);
  py::object operator()(py::object x);  // any ready-made first argument

 private:
  py::object function_;
  std::vector<py::object> args_;
  std::vector<PyObject*> stack_;
  py::array_t<double> x_;
};

class PyFunction : public Function {
 public:
  PyFunction(py::object fun, const py::tuple& args, bool vectorized, bool ravel);

  void value(const Vector& x, Vector& r) override;
  void values(const Matrix& X, Matrix& R) override;
  void values(const Eigen::MatrixXcd& X, Eigen::MatrixXcd& R) override;
  double precision() const override { return precision_; }

  py::object call(const Vector& x) { return fun_(x); }
  void read_residuals(const py::object& returned, Vector& r);

 protected:
  void expect(Index m);  // as many residuals as at first

 private:
  Callable fun_;
  bool vectorized_, ravel_;
  Index m_ = -1;  // unknown before the first call
  double precision_ = epsilon;
  Vector point_, values_;  // one of many
};

// Residuals of any function, with a Jacobian that is a Python callable.
class PyResidual : public Residual {
 public:
  PyResidual(Function& function, py::object jac, const py::tuple& args);

  void value(const Vector& x, Vector& r) override { function_.value(x, r); }
  void jacobian(const Vector& x, const Vector& r, Jacobian& J) override;
  double derivative_error() const override { return std::max(derivative_error_, precision()); }
  double precision() const override { return function_.precision(); }

 private:
  Function& function_;
  Callable jac_;
  double derivative_error_ = epsilon;
};

// Residuals and Jacobian from one Python callable that returns both.
class PyPair : public Residual {
 public:
  explicit PyPair(PyFunction& function) : function_(function) {}

  void value(const Vector& x, Vector& r) override;
  void jacobian(const Vector& x, const Vector& r, Jacobian& J) override;
  double derivative_error() const override { return std::max(derivative_error_, precision()); }
  double precision() const override { return function_.precision(); }

 private:
  PyFunction& function_;
  py::object J_;  // what came with the residuals at x_, until it is read
  Vector x_;
  double derivative_error_ = epsilon;
};

// J as an array: the one that the user's function returned where J still lies there.
py::object array_of(const Jacobian& J);

// Who holds the interpreter's lock during a solve: the solve, which lets it go around long arithmetic only, as its
// functions need it; or nobody, as they are compiled.
enum class Lock { held, released };

// Runs Python's signal handlers, lets the lock go around long arithmetic, and shows passes to `observe` (None: nobody
// looks).
class PyObserver : public Observer {
 public:
  PyObserver(py::object observe, Lock lock) : observe_(std::move(observe)), lock_(lock) {}

  Status see(const History& history, const Point& here) override;
  void arithmetic_begins(double flops) override;
  void arithmetic_ends() override;

 private:
  using Clock = std::chrono::steady_clock;

  Status look(const History& history, const Point& here);

  py::object observe_;
  Lock lock_;
  PyThreadState* released_ = nullptr;
  Clock::time_point last_ = Clock::now();  // when signals were asked for
};

}  // namespace marquardt::bind
