// The base of marquardt.CompiledResidual. Which objects have an address, and whether the signature is right, is for the
// Python class to find out; here they are numbers.
#include "bind/compiled.hpp"

#include <cstdint>
#include <string>

#include "bind/callback.hpp"

namespace marquardt::bind {
namespace {

void* pointer_of(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

template <class Function>
Function function_at(std::uintptr_t address) {
  return reinterpret_cast<Function>(address);
}

Compiled read(std::uintptr_t fun, std::uintptr_t jac, bool both, Index m, std::uintptr_t user,
              std::uintptr_t user_of_jacobian, bool row_major) {
  Compiled compiled;
  if (both) {
    compiled.both = function_at<CompiledPair>(fun);
  } else {
    compiled.residual = function_at<CompiledFunction>(fun);
    compiled.jacobian = function_at<CompiledFunction>(jac);
  }
  compiled.m = m;
  compiled.user = pointer_of(user);
  compiled.user_of_jacobian = pointer_of(user_of_jacobian);
  compiled.row_major = row_major;
  return compiled;
}

Vector point(const py::object& x) {
  const auto array = FloatArray::ensure(x);  // an error is cleared here
  if (!array || array.ndim() > 1 || array.size() == 0) {
    throw py::type_error("a compiled fun is called with a vector of real numbers, got " + std::string(py::repr(x)));
  }
  return vector_of(array);
}

// The first item of a scipy.LowLevelCallable is a capsule: name is the signature, pointer the function, and context
// the user's data. The tuple's own [] refuses to give it.
py::tuple low_level(const py::tuple& callable) {
  PyObject* capsule = callable.empty() ? nullptr : PyTuple_GET_ITEM(callable.ptr(), 0);
  if (!capsule || !PyCapsule_CheckExact(capsule)) throw py::type_error("this is no scipy.LowLevelCallable");
  const char* signature = PyCapsule_GetName(capsule);
  void* function = PyCapsule_GetPointer(capsule, signature);
  if (!function) throw py::error_already_set();
  void* user = PyCapsule_GetContext(capsule);
  return py::make_tuple(reinterpret_cast<std::uintptr_t>(function), reinterpret_cast<std::uintptr_t>(user),
                        signature ? signature : "");
}

}  // namespace

const Compiled* compiled_in(const py::object& fun) {
  return py::isinstance<Compiled>(fun) ? &fun.cast<const Compiled&>() : nullptr;
}

bool is_own_jacobian(const py::object& fun, const py::object& jac) {
  return jac.ptr() == Py_True || (PyMethod_Check(jac.ptr()) && jac.equal(fun.attr("jacobian")));
}

void bind_compiled(py::module_& m) {
  py::class_<Compiled>(m, "Compiled", py::module_local(), "Residuals and a Jacobian by their addresses.")
      .def(py::init(&read), py::arg("fun"), py::arg("jac"), py::arg("both"), py::arg("m"), py::arg("user"),
           py::arg("user_of_jacobian"), py::arg("row_major"))
      .def_property_readonly(
          "m", [](const Compiled& compiled) { return compiled.m; }, "The number of residuals.")
      .def_property_readonly("has_jacobian", &Compiled::has_jacobian, "Whether there is a compiled Jacobian.")
      .def(
          "__call__",
          [](const Compiled& compiled, const py::object& x) {
            Vector r;
            CompiledResidual(compiled).value(point(x), r);
            return array_of(r);
          },
          py::arg("x"), py::pos_only(), "The residuals at x, shape (m,).")
      .def(
          "jacobian",
          [](const Compiled& compiled, const py::object& x) {
            if (!compiled.has_jacobian()) throw py::type_error("this CompiledResidual has no compiled Jacobian");
            Jacobian J;
            CompiledResidual(compiled).jacobian(point(x), Vector(), J);
            return array_of(J);
          },
          py::arg("x"), py::pos_only(), "The Jacobian at x, shape (m, n).");
  m.def("low_level", &low_level, py::arg("callable"), py::pos_only(),
        "Of a scipy.LowLevelCallable the address, that of its user data, and the signature.");
}

}  // namespace marquardt::bind
