// The compiled module: one bind_ function per noun, and how it was compiled.
//
// The same sources make one module for each variant of the instruction set. The build names the module and describes
// itself by the macros below; without them this is the only module and knows less of itself.
#include <string>

#include "bind/compiled.hpp"
#include "bind/curve.hpp"
#include "bind/python.hpp"

#ifndef MARQUARDT_MODULE
#define MARQUARDT_MODULE _core
#endif
#ifndef MARQUARDT_VERSION
#define MARQUARDT_VERSION ""
#endif
#ifndef MARQUARDT_FLAGS
#define MARQUARDT_FLAGS ""
#endif

namespace marquardt::bind {
namespace {

// What the compiler was allowed to use, by its own macros, under the names of bind/cpu.cpp. The text of a macro that is
// not defined is its name, which begins with an underscore; the others are 1.
py::list compiled_for() {
  constexpr const char* macros[][2] = {
      {"sse3", PYBIND11_TOSTRING(__SSE3__)},         {"ssse3", PYBIND11_TOSTRING(__SSSE3__)},
      {"sse4.1", PYBIND11_TOSTRING(__SSE4_1__)},     {"sse4.2", PYBIND11_TOSTRING(__SSE4_2__)},
      {"popcnt", PYBIND11_TOSTRING(__POPCNT__)},     {"xsave", PYBIND11_TOSTRING(__XSAVE__)},
      {"avx", PYBIND11_TOSTRING(__AVX__)},           {"f16c", PYBIND11_TOSTRING(__F16C__)},
      {"fma", PYBIND11_TOSTRING(__FMA__)},           {"avx2", PYBIND11_TOSTRING(__AVX2__)},
      {"bmi", PYBIND11_TOSTRING(__BMI__)},           {"bmi2", PYBIND11_TOSTRING(__BMI2__)},
      {"avx512f", PYBIND11_TOSTRING(__AVX512F__)},   {"avx512dq", PYBIND11_TOSTRING(__AVX512DQ__)},
      {"avx512bw", PYBIND11_TOSTRING(__AVX512BW__)}, {"avx512vl", PYBIND11_TOSTRING(__AVX512VL__)},
  };
  py::list names;
  for (const auto& [name, text] : macros) {
    if (text[0] != '_') names.append(name);
  }
  return names;
}

const char* compiler() {
#if defined(__clang__)
  return __VERSION__;  // "Clang 17.0.6 (...)"
#elif defined(__GNUC__)
  return "GCC " __VERSION__;
#elif defined(_MSC_FULL_VER)
  return "MSVC " PYBIND11_TOSTRING(_MSC_FULL_VER);
#else
  return "unknown";
#endif
}

// 3.4.1 is WORLD.MAJOR.MINOR; from Eigen 5 on it is MAJOR.MINOR.PATCH.
std::string eigen() {
#ifdef EIGEN_PATCH_VERSION
  constexpr int parts[] = {EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION, EIGEN_PATCH_VERSION};
#else
  constexpr int parts[] = {EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION};
#endif
  return std::to_string(parts[0]) + "." + std::to_string(parts[1]) + "." + std::to_string(parts[2]);
}

void bind_build(py::module_& m) {
  m.def(
      "build_facts",
      [] {
        py::dict facts;
        facts["version"] = MARQUARDT_VERSION;
        facts["compiler"] = compiler();
        facts["flags"] = MARQUARDT_FLAGS;
        facts["compiled_for"] = compiled_for();
        facts["eigen"] = eigen();
        return facts;
      },
      "How this module was compiled.");
}

}  // namespace
}  // namespace marquardt::bind

PYBIND11_MODULE(MARQUARDT_MODULE, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled core of marquardt. Private: the public names are those of the package.";
  marquardt::bind::bind_build(m);
  marquardt::bind::bind_status(m);
  marquardt::bind::bind_options(m);
  marquardt::bind::bind_arguments(m);
  marquardt::bind::bind_derivatives(m);
  marquardt::bind::bind_compiled(m);
  marquardt::bind::bind_minimise(m);
  marquardt::bind::bind_curve(m);
  marquardt::bind::bind_covariance(m);
  marquardt::bind::bind_linear(m);
  marquardt::bind::bind_accumulator(m);
  marquardt::bind::bind_box_qp(m);
  marquardt::bind::bind_bounded_linear(m);
}
