// The box QP. What does not fit is named here and told in a sentence by the Python face, so that arrays that do fit are
// looked at only once.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "bind/python.hpp"
#include "marquardt/linalg/box_qp.hpp"

namespace marquardt::bind {
namespace {

using Map = Eigen::Map<const Vector>;
using Symmetric = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;  // row- or column-major is the same

// Rounding of H when it was formed as M'M, in units of sqrt(H_ii H_jj): the sum of thousands of products.
constexpr double rounding_of_symmetry = 1e-12;

// From here on a solve may last over 2 ms (n^3 / 3 operations at 4 GFLOP/s), worth letting other threads run.
constexpr Index long_solve = 300;

// Walks one triangle in tiles that fit the cache: the other one is read across.
enum class Symmetry { exact, rounded, none };
Symmetry symmetry(const Symmetric& H) {
  constexpr Index tile = 32;
  const Index n = H.rows();
  Symmetry found = Symmetry::exact;
  for (Index left = 0; left < n; left += tile) {
    for (Index top = left; top < n; top += tile) {
      for (Index j = left; j < std::min(n, left + tile); ++j) {
        for (Index i = std::max(top, j + 1); i < std::min(n, top + tile); ++i) {
          const double a = H(i, j), b = H(j, i);
          if (a == b) continue;
          const double size = std::sqrt(std::abs(H(i, i))) * std::sqrt(std::abs(H(j, j)));
          if (!(std::abs(a - b) <= rounding_of_symmetry * size)) return Symmetry::none;
          found = Symmetry::rounded;
        }
      }
    }
  }
  return found;
}

// The first argument that is not what it should be; "" if there is none. Asked only after something went wrong.
const char* culprit(const Symmetric& H, const VectorView& g, const VectorView& lower, const VectorView& upper) {
  if (!H.allFinite()) return "H";
  if (!g.allFinite()) return "g";
  for (Index i = 0; i < g.size(); ++i) {
    if (!(lower[i] <= upper[i]) || lower[i] == infinity || upper[i] == -infinity) return "bounds";
  }
  return "";
}

// One side of the box: an array as it is, or a number for everybody, for which this keeps the entries.
class Side {
 public:
  // False for anything else.
  bool read(py::handle given, Index n, double missing, const py::dtype& real);
  Map map(Index n) const { return Map(entries_, n); }

 private:
  Vector own_;
  const double* entries_ = nullptr;
};

// NumPy lets an array of doubles begin anywhere, as in a packed record.
bool aligned(const py::array& v) { return reinterpret_cast<std::uintptr_t>(v.data()) % alignof(double) == 0; }

// The n doubles of a vector, side by side in memory; null if it is anything else.
const double* entries(py::handle given, Index n, const py::dtype& real) {
  if (!py::isinstance<py::array>(given)) return nullptr;
  const auto v = py::reinterpret_borrow<py::array>(given);
  const bool fits = v.dtype().is(real) && v.ndim() == 1 && v.shape(0) == n && (v.flags() & py::array::c_style) != 0;
  return fits && aligned(v) ? static_cast<const double*>(v.data()) : nullptr;
}

bool Side::read(py::handle given, Index n, double missing, const py::dtype& real) {
  entries_ = entries(given, n, real);
  if (entries_ != nullptr) return true;
  if (!given.is_none() && !PyFloat_CheckExact(given.ptr())) return false;
  own_.setConstant(n, given.is_none() ? missing : PyFloat_AS_DOUBLE(given.ptr()));
  entries_ = own_.data();
  return true;
}

// The names of a result's items and the type of its arrays: made once, when the module is.
struct Names {
  py::dtype real = py::dtype::of<double>();
  py::object x = interned("x"), success = interned("success"), fun = interned("fun"), grad = interned("grad"),
             multipliers = interned("multipliers"), active_mask = interned("active_mask"), kkt = interned("kkt"),
             nit = interned("nit"), singular = interned("singular"), ray = interned("ray");
};

// Everything there is to say but for status and message, which the face names.
void fill(py::dict& fit, const Names& names, const BoxQp& solver, const BoxQpReport& report, const VectorView& g,
          const Vector& x) {
  set_item(fit, names.x, array_of(x));
  set_item(fit, names.success, py::bool_(report.solved));
  set_item(fit, names.fun, py::float_(solver.objective(g, x)));
  set_item(fit, names.grad, array_of(solver.gradient()));
  set_item(fit, names.multipliers, array_of(solver.multipliers()));
  set_item(fit, names.active_mask, array_of(solver.active()));
  set_item(fit, names.kkt, py::float_(report.kkt));
  set_item(fit, names.nit, py::int_(report.iterations));
  set_item(fit, names.singular, py::bool_(report.singular));
  if (report.status == BoxQpStatus::unbounded) set_item(fit, names.ray, array_of(solver.ray()));
}

// Solves and fills `fit`, the face's blank result. Returns how it ended, or the name of what does not fit. One
// dictionary filled here, and arrays looked at without casters: at n = 2 those would take ten times the solve.
py::object solve(const Names& names, const py::object& H_given, const py::object& g_given,
                 const py::object& lower_given, const py::object& upper_given, const py::object& x0_given,
                 bool check_convex, py::dict& fit) {
  if (!py::isinstance<py::array>(H_given)) return py::str("arrays");
  const auto H = py::reinterpret_borrow<py::array>(H_given);
  const Index n = H.ndim() == 2 ? H.shape(0) : 0;
  const bool contiguous = (H.flags() & (py::array::c_style | py::array::f_style)) != 0;
  if (n == 0 || H.shape(1) != n || !contiguous || !aligned(H) || !H.dtype().is(names.real)) return py::str("arrays");
  const double* const g_entries = entries(g_given, n, names.real);
  const double* const x0 = x0_given.is_none() ? g_entries : entries(x0_given, n, names.real);
  Side lower, upper;
  if (g_entries == nullptr || x0 == nullptr || !lower.read(lower_given, n, -infinity, names.real) ||
      !upper.read(upper_given, n, infinity, names.real)) {
    return py::str("arrays");
  }
  const Map g(g_entries, n), low = lower.map(n), high = upper.map(n);
  const Symmetric given(static_cast<const double*>(H.data()), n, n, Eigen::OuterStride<>(n));
  Vector x;
  if (!x0_given.is_none()) x = Map(x0, n);
  if (!x.allFinite()) return py::str("x0");
  const Symmetry found = symmetry(given);
  if (found == Symmetry::none) {
    const char* const guilty = culprit(given, g, low, high);
    return py::str(*guilty ? guilty : "symmetry");
  }

  Matrix mean;
  if (found == Symmetry::rounded) mean = 0.5 * given + 0.5 * given.transpose();
  const MatrixView used = found == Symmetry::rounded ? MatrixView(mean) : MatrixView(given);
  const Convexity convexity = check_convex ? Convexity::checked : Convexity::assumed;
  BoxQp solver;
  BoxQpReport report;
  {
    std::optional<py::gil_scoped_release> unlocked;
    if (n >= long_solve) unlocked.emplace();
    report = solver.solve(used, g, low, high, x, convexity);
  }
  if (report.status == BoxQpStatus::invalid) return py::str(culprit(given, g, low, high));
  fill(fit, names, solver, report, g, x);
  return py::int_(static_cast<int>(report.status));
}

}  // namespace

void bind_box_qp(py::module_& m) {
  m.def(
      "box_qp",
      [names = Names()](const py::object& H, const py::object& g, const py::object& lower, const py::object& upper,
                        const py::object& x0, bool check_convex,
                        py::dict& fit) { return solve(names, H, g, lower, upper, x0, check_convex, fit); },
      py::arg("H"), py::arg("g"), py::arg("lower"), py::arg("upper"), py::arg("x0"), py::arg("check_convex"),
      py::arg("fit"),
      "min 1/2 x'Hx + g'x in a box, into the dictionary `fit`. Returns how it ended (BoxQpStatus) or the name of what "
      "does not fit; 'arrays' if something is not yet an array of doubles, side by side, of the right shape.");
}

}  // namespace marquardt::bind
