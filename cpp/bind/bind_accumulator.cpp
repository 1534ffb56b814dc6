// Rows of [A b] reduced to a triangle as they come.
#include <algorithm>
#include <optional>

#include "bind/python.hpp"
#include "marquardt/linalg/accumulator.hpp"

namespace marquardt::bind {
namespace {

using Rows = py::array_t<double, py::array::forcecast>;

// Rows at a time where they are copied: memory stays that of a few triangles however many arrive together. Each thread
// gets enough of them to be worth its while.
constexpr Index least_chunk = 512, chunk_of_thread = 8192, most_shared = 64;

// From here on an addition may last over 2 ms (at 4 GFLOP/s), worth letting other threads run.
constexpr double long_addition = 8e6;

// The array as it lies in memory; an array whose entries are not whole numbers of doubles apart is copied into `held`.
StridedView view(const Rows& array, Rows& held) {
  constexpr auto unit = static_cast<py::ssize_t>(sizeof(double));
  held = array;
  if (array.strides(0) % unit != 0 || array.strides(1) % unit != 0) {
    held = py::array_t<double, py::array::c_style | py::array::forcecast>(array.attr("copy")());
  }
  return {held.data(), held.shape(0), held.shape(1), {held.strides(1) / unit, held.strides(0) / unit}};
}

// A single right-hand side goes its own way: [A b] then never lies in one place. Several are columns like those of A.
class RowAccumulator {
 public:
  RowAccumulator(Index n, Index k) : n_(n), k_(k), rows_of_(Form::triangle, k == 1 ? n : n + k) {}

  void add(const Rows& A, const Rows& b, Index threads) {
    Rows held_A, held_b;
    const StridedView left = view(A, held_A), right = view(b, held_b);
    std::optional<py::gil_scoped_release> unlocked;
    const auto columns = static_cast<double>(n_ + k_), m = static_cast<double>(left.rows());
    if (2 * m * columns * columns > long_addition) unlocked.emplace();
    rows_of_.use_threads(threads);
    if (k_ == 1) {
      const Vector b_in_line = right.col(0);
      rows_of_.add(left, b_in_line);
    } else {
      add_together(left, right, threads);
    }
    rows_ += left.rows();
  }

  void merge(const RowAccumulator& other) {
    const Index rows = other.rows_;  // read first: other may be *this
    rows_of_.merge(other.rows_of_);
    rows_ += rows;
  }

  Matrix triangle() {
    const Reduced& reduced = rows_of_.reduced();
    if (k_ != 1) return reduced.R;
    Matrix T = Matrix::Zero(n_ + 1, n_ + 1);
    T.topLeftCorner(n_, n_) = reduced.R;
    T.col(n_).head(n_) = reduced.z;
    T(n_, n_) = rows_of_.rest();
    return T;
  }

  // A triangle is its own, to the last bit.
  void restore(const Matrix& triangle, Index rows) {
    const Matrix known = triangle.topRows(std::min(rows, triangle.rows()));
    if (k_ == 1) {
      rows_of_.add(known.leftCols(n_), known.col(n_));
    } else {
      rows_of_.add(known, Vector::Zero(known.rows()));
    }
    rows_ = rows;
  }

  Index rows() const { return rows_; }

 private:
  void add_together(const StridedView& left, const StridedView& right, Index threads) {
    const Index chunk =
        std::max({least_chunk, 2 * (n_ + k_), threads > 1 ? std::min(threads, most_shared) * chunk_of_thread : 0});
    for (Index first = 0; first < left.rows(); first += chunk) {
      const Index count = std::min(chunk, left.rows() - first);
      Matrix both(count, n_ + k_);
      both << left.middleRows(first, count), right.middleRows(first, count);
      rows_of_.add(both, Vector::Zero(count));
    }
  }

  Index n_, k_, rows_ = 0;
  Accumulator rows_of_;
};

// (R, z) of the triangle form or (H, g) of the Gram form.
py::tuple reduce_rows(const Rows& J, const Vector& r, bool gram, Index threads) {
  Rows held;
  const StridedView rows = view(J, held);
  Accumulator accumulator(gram ? Form::gram : Form::triangle, rows.cols(), threads);
  {
    const py::gil_scoped_release unlocked;
    accumulator.add(rows, r);
    accumulator.reduced();
  }
  const Reduced& reduced = accumulator.reduced();
  return gram ? py::make_tuple(array_of(reduced.H), array_of(reduced.g))
              : py::make_tuple(array_of(reduced.R), array_of(reduced.z));
}

}  // namespace

void bind_accumulator(py::module_& m) {
  py::class_<RowAccumulator>(m, "RowAccumulator", py::module_local(), "The triangle of the rows seen so far.")
      .def(py::init<Index, Index>(), py::arg("n"), py::arg("k"))
      .def("add", &RowAccumulator::add, py::arg("A"), py::arg("b"), py::arg("threads"))
      .def("merge", &RowAccumulator::merge, py::arg("other"))
      .def("triangle", &RowAccumulator::triangle)
      .def("restore", &RowAccumulator::restore, py::arg("triangle"), py::arg("rows"))
      .def_property_readonly("rows", &RowAccumulator::rows);
  m.def("reduce_rows", &reduce_rows, py::arg("J"), py::arg("r"), py::arg("gram"), py::arg("threads"),
        "What the rows of [J r] say: (R, z) of J = Q R and z = Q'r, or (J'J, J'r).");
}

}  // namespace marquardt::bind
