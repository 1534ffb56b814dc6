// What the processor and the operating system let a program use, asked before anything compiled for more is loaded.
//
// An instruction set may be used when CPUID has its bit and, for the wide registers, the system saves them when it
// switches between programs: OSXSAVE is set and XCR0 has the bits of SSE and AVX state (1, 2), for AVX-512 those of its
// masks and registers (5, 6, 7) besides.
// Reference: Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1, 14.3 and 15.2.
//
// A module by itself, in plain C API, compiled for the oldest processor and without Eigen: it must run anywhere. The
// compiler's own __builtin_cpu_supports would do on GCC and Clang, but knows no way to list what it knows.
#include <Python.h>

#include <cstdint>
#include <cstring>

#if defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// All zero where the processor does not know the leaf.
Registers cpuid(std::uint32_t leaf) {
  Registers r;
#if defined(_M_X64)
  int out[4];
  __cpuid(out, static_cast<int>(leaf & 0x80000000u));
  if (static_cast<std::uint32_t>(out[0]) < leaf) return r;
  __cpuidex(out, static_cast<int>(leaf), 0);
  std::memcpy(&r, out, sizeof r);
#else
  __get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx);
#endif
  return r;
}

std::uint32_t saved_state() {  // XCR0; to be asked only where OSXSAVE is set
#if defined(_M_X64)
  return static_cast<std::uint32_t>(_xgetbv(0));
#else
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
#endif
}

// One row per instruction set that a variant is compiled with, or that tells processors apart. The names are those of
// the compilers' options.
struct Feature {
  const char* name;
  std::uint32_t leaf;
  std::uint32_t Registers::* word;
  int bit;
  std::uint32_t state;  // bits of XCR0 that it needs
};
constexpr std::uint32_t avx_state = 0x6, avx512_state = 0xe6;
constexpr Feature known[] = {
    {"sse3", 1, &Registers::ecx, 0, 0},
    {"ssse3", 1, &Registers::ecx, 9, 0},
    {"sse4.1", 1, &Registers::ecx, 19, 0},
    {"sse4.2", 1, &Registers::ecx, 20, 0},
    {"popcnt", 1, &Registers::ecx, 23, 0},
    {"xsave", 1, &Registers::ecx, 27, 0},  // the bit OSXSAVE: not only there, but switched on
    {"avx", 1, &Registers::ecx, 28, avx_state},
    {"f16c", 1, &Registers::ecx, 29, avx_state},
    {"fma", 1, &Registers::ecx, 12, avx_state},
    {"avx2", 7, &Registers::ebx, 5, avx_state},
    {"bmi", 7, &Registers::ebx, 3, 0},
    {"bmi2", 7, &Registers::ebx, 8, 0},
    {"avx512f", 7, &Registers::ebx, 16, avx512_state},
    {"avx512dq", 7, &Registers::ebx, 17, avx512_state},
    {"avx512bw", 7, &Registers::ebx, 30, avx512_state},
    {"avx512vl", 7, &Registers::ebx, 31, avx512_state},
};

bool has(const Feature& feature, std::uint32_t state) {
  return ((cpuid(feature.leaf).*feature.word >> feature.bit) & 1u) != 0 && (state & feature.state) == feature.state;
}

PyObject* list_features() {
  const std::uint32_t state = ((cpuid(1).ecx >> 27) & 1u) != 0 ? saved_state() : 0;
  PyObject* names = PyList_New(0);
  for (const Feature& feature : known) {
    if (names == nullptr || !has(feature, state)) continue;
    PyObject* name = PyUnicode_FromString(feature.name);
    if (name == nullptr || PyList_Append(names, name) != 0) Py_CLEAR(names);
    Py_XDECREF(name);
  }
  return names;
}

// The processor's own name for itself: 48 characters in three leaves, padded with blanks.
PyObject* brand() {
  char text[49] = "";
  for (std::uint32_t leaf = 0; leaf < 3; ++leaf) {
    const Registers r = cpuid(0x80000002u + leaf);
    std::memcpy(text + 16 * leaf, &r, sizeof r);
  }
  return PyUnicode_DecodeLatin1(text, static_cast<Py_ssize_t>(std::strlen(text)), nullptr);
}

#else  // one variant only: there is nothing to choose

PyObject* list_features() { return PyList_New(0); }
PyObject* brand() { return PyUnicode_FromString(""); }

#endif

PyObject* features(PyObject* /*module*/, PyObject* /*none*/) { return list_features(); }
PyObject* name(PyObject* /*module*/, PyObject* /*none*/) { return brand(); }

// The variants that stand beside the baseline in this build, best first, as the build wrote them: "avx2" or "".
#ifndef MARQUARDT_VARIANTS
#define MARQUARDT_VARIANTS ""
#endif
PyObject* variants(PyObject* /*module*/, PyObject* /*none*/) { return PyUnicode_FromString(MARQUARDT_VARIANTS); }

PyMethodDef methods[] = {
    {"features", features, METH_NOARGS, "Instruction sets that this processor and system support; empty off x86-64."},
    {"name", name, METH_NOARGS, "The processor's own name; empty off x86-64."},
    {"variants", variants, METH_NOARGS, "Variants built beside the baseline, best first, parted by blanks."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil  // free-threaded Python, from 3.13 on
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "_cpu",
                          "What the processor can do. Private: see marquardt.build_info().",
                          0,
                          methods,
                          slots,
                          nullptr,
                          nullptr,
                          nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__cpu() { return PyModuleDef_Init(&definition); }
