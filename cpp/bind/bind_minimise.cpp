// One function: a nonlinear solve from Python's point of view. Reports plain data; the Python layer dresses it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "bind/bind_options.hpp"
#include "bind/callback.hpp"
#include "bind/compiled.hpp"
#include "bind/curve.hpp"
#include "bind/loss.hpp"
#include "marquardt/problem/difference.hpp"
#include "marquardt/solve/minimise.hpp"
#include "marquardt/step/coleman_li.hpp"

namespace marquardt::bind {
namespace {

struct Request {
  py::object fun, jac;
  py::tuple args;
  bool vectorized, ravel;
  Vector x0;
  Box box;
  std::string_view method;
  SubproblemKind subproblem;
  Vector scale;
  Loss loss;
  bool python_loss;
  Vector diff_step;
  Options options;
  py::object observe;
};

// Arrays of the Python layer can be read as they are; anything else is converted.
Vector vector_in(py::handle given) {
  return is_plain(given) ? numbers_in(given) : vector_of(FloatArray(py::reinterpret_borrow<py::object>(given)));
}

SubproblemKind subproblem_kind(std::string_view name) {
  if (name == "cholesky") return SubproblemKind::cholesky;
  if (name == "qr") return SubproblemKind::qr;
  if (name == "svd") return SubproblemKind::svd;
  if (name == "auto") return SubproblemKind::automatic;
  throw py::value_error("unknown subproblem '" + std::string(name) + "': 'cholesky', 'qr', 'svd' or 'auto'");
}

Scheme scheme_named(const std::string& name) {
  return name == "2-point"   ? Scheme::two_point
         : name == "3-point" ? Scheme::three_point
         : name == "cs"      ? Scheme::complex_step
                             : Scheme::automatic;
}

// The user's functions as the core sees them.
struct Functions {
  std::unique_ptr<Function> function;
  std::unique_ptr<Residual> derived;  // r and J of the function; null where that is a residual itself
  Residual* residual = nullptr;       // one of the two
  Lock lock = Lock::held;
};

void read_compiled(const Request& request, const Compiled& compiled, Functions& f) {
  if (!request.args.empty()) throw py::value_error("a compiled fun takes no args: give it user_data instead");
  const bool own = is_own_jacobian(request.fun, request.jac);
  if (own && !compiled.has_jacobian()) throw py::type_error("this CompiledResidual has no compiled Jacobian");
  auto residual = std::make_unique<CompiledResidual>(compiled);
  if (own) f.residual = residual.get();
  f.function = std::move(residual);
  // a loss or a Jacobian of Python's would take the lock in each pass
  if ((own || py::isinstance<py::str>(request.jac)) && !request.python_loss) f.lock = Lock::released;
}

// jac: a callable, True for (r, J) together, or the name of a difference scheme.
Functions read_functions(const Request& request) {
  Functions f;
  if (const Compiled* compiled = compiled_in(request.fun)) {
    read_compiled(request, *compiled, f);
  } else {
    std::unique_ptr<PyFunction> function = curve_in(request.fun);
    if (!function) {
      function = std::make_unique<PyFunction>(request.fun, request.args, request.vectorized, request.ravel);
    }
    if (py::isinstance<py::bool_>(request.jac)) f.derived = std::make_unique<PyPair>(*function);
    f.function = std::move(function);
  }
  if (!f.residual && !f.derived) {
    if (py::isinstance<py::str>(request.jac)) {
      f.derived = std::make_unique<Differenced>(*f.function, scheme_named(request.jac.cast<std::string>()), request.box,
                                                request.vectorized, request.diff_step);
    } else {
      f.derived = std::make_unique<PyResidual>(*f.function, request.jac, request.args);
    }
  }
  if (!f.residual) f.residual = f.derived.get();
  return f;
}

Status run(Minimiser& minimiser, const Vector& x0, Lock lock) {
  if (lock == Lock::held) return minimiser.run(x0);
  const py::gil_scoped_release unlocked;
  return minimiser.run(x0);
}

std::unique_ptr<Step> make_step(const Request& request) {
  const SubproblemKind kind = request.subproblem;
  if (request.method == "levenberg_marquardt") {
    return make_levenberg_marquardt(request.options, request.box, kind, request.scale);
  }
  if (request.method == "trust_region") return make_trust_region(request.options, request.box, kind, request.scale);
  if (request.method == "auto") return make_adaptive_region(request.options, request.box, kind, request.scale);
  if (request.method == "dogbox") return make_dogbox(request.options, request.box, kind, request.scale);
  throw py::value_error("unknown method '" + std::string(request.method) +
                        "': 'levenberg_marquardt', 'trust_region', 'dogbox' or 'auto'");
}

// Names of the fields, and the type of a record, made once.
struct Names {
  py::object x = interned("x"), success = interned("success"), status = interned("status"),
             message = interned("message"), cost = interned("cost"), residuals = interned("residuals"),
             jacobian = interned("jacobian"), grad = interned("grad"), optimality = interned("optimality"),
             active_mask = interned("active_mask"), rank = interned("rank"), nfev = interned("nfev"),
             njev = interned("njev"), nfev_differences = interned("nfev_differences"), nit = interned("nit"),
             history = interned("history"), fun = interned("fun"), jac = interned("jac");
  py::object seconds = interned("seconds"), control = interned("control"), v = interned("v"),
             iterates = interned("iterates");
  py::dtype record = py::dtype::of<Record>();
};

// In memory that comes as plain bytes: NumPy first fills new records with zeros, in 2 us.
py::array history_array(const History& history, const py::dtype& type) {
  const auto count = static_cast<py::ssize_t>(history.records.size()), size = py::ssize_t{sizeof(Record)};
  const py::array_t<std::uint8_t> bytes = new_array<std::uint8_t>({count * size});
  std::uint8_t* place = data_of(bytes);
  for (const Record& record : history.records) {
    std::memcpy(place, &record, sizeof(Record));
    place += size;
  }
  return py::array(type, {count}, {size}, data_of(bytes), bytes);
}

// The iterates as the rows of one array: an array each would cost more than the steps between them.
py::array iterates_array(const History& history, Index n) {
  const py::array_t<double> rows = new_array<double>({static_cast<Index>(history.iterates.size()), n});
  double* row = data_of(rows);
  for (const Vector& x : history.iterates) row = std::copy_n(x.data(), n, row);
  return rows;
}

// The gradient where the point is linearised; where it is not, NaN in the same shape.
Vector gradient(const Minimiser& minimiser) {
  const Point& here = minimiser.best();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  return minimiser.linearised() ? Vector(here.g()) : Vector(Vector::Constant(here.x.size(), nan));
}

// What belongs to a linearised point; where there is none, NaN in the same shapes. Returns the Jacobian.
py::object report_linearisation(const Minimiser& minimiser, const Names& names, const py::object& d) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const Point& here = minimiser.best();
  const bool known = minimiser.linearised();
  const Index n = here.x.size();
  const Matrix none = Matrix::Constant(known ? 0 : here.r.size(), known ? 0 : n, nan);
  py::object J = known ? array_of(here.J) : py::object(array_of(none));
  set_item(d, names.jacobian, J);
  set_item(d, names.grad, array_of(gradient(minimiser)));
  set_item(d, names.optimality, py::float_(known ? minimiser.step().optimality() : nan));
  set_item(d, names.active_mask, array_of(known ? minimiser.active() : Eigen::VectorXi(Eigen::VectorXi::Zero(n))));
  set_item(d, names.rank, py::int_(known ? minimiser.step().rank() : 0));
  return J;
}

// The items that results of all faces have, in their order.
void report(const Minimiser& minimiser, const Counts& counts, Status status, const Names& names, const py::object& d) {
  const Point& here = minimiser.best();
  const py::object r = array_of(here.raw.size() > 0 ? here.raw : here.r);
  set_item(d, names.x, array_of(here.x));
  set_item(d, names.success, py::bool_(succeeded(status)));
  set_item(d, names.status, py::int_(static_cast<int>(status)));
  set_item(d, names.message, py::str(entry(status).sentence));
  set_item(d, names.cost, py::float_(here.cost));
  set_item(d, names.residuals, r);
  const py::object J = report_linearisation(minimiser, names, d);
  set_item(d, names.nfev, py::int_(counts.nfev));
  set_item(d, names.njev, py::int_(counts.njev));
  set_item(d, names.nfev_differences, py::int_(counts.differences));
  set_item(d, names.nit, py::int_(minimiser.iterations()));
  set_item(d, names.history, history_array(minimiser.history(), names.record));
  set_item(d, names.fun, r);
  set_item(d, names.jac, J);
}

// What is no item of every result: times, the last lambda or Delta, and for faces that keep the iterates also v, the
// distances to the bounds that -g points at.
py::dict report_aside(const Minimiser& minimiser, const Counts& counts, const Request& request, const Names& names) {
  const Point& here = minimiser.best();
  py::dict d;
  set_item(d, names.seconds, py::make_tuple(minimiser.seconds(), counts.seconds_value, counts.seconds_jacobian));
  set_item(d, names.control,
           py::float_(minimiser.linearised() ? minimiser.step().control() : std::numeric_limits<double>::quiet_NaN()));
  if (!request.options.keep_iterates) return d;
  Vector v, dv;
  coleman_li::scaling(here.x, gradient(minimiser), request.box, v, dv);
  set_item(d, names.v, array_of(v));
  set_item(d, names.iterates, iterates_array(minimiser.history(), here.x.size()));
  return d;
}

// Fills `result` and returns (what is no item of it, None), or the same of the best point so far and the exception that
// ended the solve.
py::tuple solve(const Request& request, const py::object& result, const Names& names) {
  const Functions functions = read_functions(request);
  PyObserver observer(request.observe, functions.lock);
  Problem problem(*functions.residual, request.x0.size(), request.subproblem, observer, request.loss);
  problem.use_threads(request.options.threads);
  const std::unique_ptr<Step> step = make_step(request);
  Minimiser minimiser(problem, *step, observer, request.options, request.box);
  const auto ended = [&](Status status, const py::object& exception) {
    const Counts counts = problem.counts();
    report(minimiser, counts, status, names, result);
    return py::make_tuple(report_aside(minimiser, counts, request, names), exception);
  };
  const auto interrupted = [&](py::error_already_set& error) {
    const py::object exception = error.value();
    if (error.trace()) PyException_SetTraceback(exception.ptr(), error.trace().ptr());
    return ended(Status::interrupted, exception);
  };
  try {
    const Status status = run(minimiser, request.x0, functions.lock);
    return ended(status, py::none());
  } catch (py::error_already_set& error) {
    return interrupted(error);
  } catch (py::builtin_exception& error) {  // what the callbacks' own checks raise
    error.set_error();
    py::error_already_set raised;
    return interrupted(raised);
  } catch (const CompiledEnded& error) {
    py::set_error(PyExc_RuntimeError, error.what());
    py::error_already_set raised;
    return interrupted(raised);
  } catch (const std::invalid_argument& error) {  // what the loss or a function refuses
    py::set_error(PyExc_ValueError, error.what());
    py::error_already_set raised;
    return interrupted(raised);
  }
}

}  // namespace

void bind_minimise(py::module_& m) {
  PYBIND11_NUMPY_DTYPE(Record, iteration, nfev, njev, cost, optimality, grad_norm, control, step_norm, actual,
                       predicted, ratio, accepted);
  py::class_<Record>(m, "Record", py::module_local(), "One pass of the loop: where it started, and its trial.")
      .def_readonly("iteration", &Record::iteration)
      .def_readonly("nfev", &Record::nfev)
      .def_readonly("njev", &Record::njev)
      .def_readonly("cost", &Record::cost)
      .def_readonly("optimality", &Record::optimality)
      .def_readonly("grad_norm", &Record::grad_norm)
      .def_readonly("control", &Record::control)
      .def_readonly("step_norm", &Record::step_norm)
      .def_readonly("actual", &Record::actual)
      .def_readonly("predicted", &Record::predicted)
      .def_readonly("ratio", &Record::ratio)
      .def_readonly("accepted", &Record::accepted);
  m.def(
      "minimise",
      [names = Names()](const py::object& result, py::object fun, py::object jac, py::handle x0, py::handle lower,
                        py::handle upper, std::string_view method, std::string_view subproblem, const py::dict& options,
                        py::tuple args, py::handle scale, bool vectorized, bool ravel, const py::object& loss,
                        py::handle f_scale, py::handle diff_step, py::object observe) {
        const Request request{std::move(fun),
                              std::move(jac),
                              std::move(args),
                              vectorized,
                              ravel,
                              vector_in(x0),
                              Box{vector_in(lower), vector_in(upper)},
                              method,
                              subproblem_kind(subproblem),
                              vector_in(scale),
                              read_loss(loss, vector_in(f_scale)),
                              !py::isinstance<py::str>(loss),
                              vector_in(diff_step),
                              read_options(options),
                              std::move(observe)};
        return solve(request, result, names);
      },
      py::arg("result"), py::arg("fun"), py::arg("jac"), py::arg("x0"), py::arg("lower"), py::arg("upper"),
      py::arg("method"), py::arg("subproblem"), py::arg("options"), py::arg("args"), py::arg("scale"),
      py::arg("vectorized"), py::arg("ravel"), py::arg("loss"), py::arg("f_scale"), py::arg("diff_step"),
      py::arg("observe"), py::pos_only(),
      "Minimises 1/2 ||fun(x)||^2, or a robust loss of fun(x), in a box. Fills `result`, an empty dict, and returns "
      "(what is no item of it, exception or None). Arguments are taken as checked.");
}

}  // namespace marquardt::bind
