// Rows of [A b] reduced to a triangle as they come.
#include <optional>

#include "bind/python.hpp"
#include "marquardt/linalg/accumulator.hpp"

namespace marquardt::bind {
namespace {

using Rows = py::array_t<double, py::array::c_style | py::array::forcecast>;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Rows at a time: memory stays that of a few triangles however many arrive together.
constexpr Index least_chunk = 512;

// From here on an addition may last over 2 ms (at 4 GFLOP/s), worth letting other threads run.
constexpr double long_addition = 8e6;

class RowAccumulator {
 public:
  explicit RowAccumulator(Index columns) : columns_(columns), triangle_(Form::triangle, columns) {}

  void add(const Rows& A, const Rows& b) {
    const Eigen::Map<const RowMajor> left(A.data(), A.shape(0), A.shape(1)), right(b.data(), b.shape(0), b.shape(1));
    std::optional<py::gil_scoped_release> unlocked;
    const auto n = static_cast<double>(columns_), m = static_cast<double>(left.rows());
    if (2 * m * n * n > long_addition) unlocked.emplace();
    const Index chunk = std::max(least_chunk, 2 * columns_);
    for (Index first = 0; first < left.rows(); first += chunk) {
      const Index count = std::min(chunk, left.rows() - first);
      Matrix both(count, columns_);
      both << left.middleRows(first, count), right.middleRows(first, count);
      triangle_.add(both, Vector::Zero(count));
      rows_ += count;
    }
  }

  void merge(const RowAccumulator& other) {
    const Index rows = other.rows_;  // read first: other may be *this
    triangle_.merge(other.triangle_);
    rows_ += rows;
  }

  Matrix triangle() { return triangle_.reduced().R; }

  void restore(const Matrix& triangle, Index rows) {
    triangle_.add(triangle, Vector::Zero(triangle.rows()));  // a triangle is its own, to the last bit
    rows_ = rows;
  }

  Index rows() const { return rows_; }

 private:
  Index columns_, rows_ = 0;
  Accumulator triangle_;
};

}  // namespace

void bind_accumulator(py::module_& m) {
  py::class_<RowAccumulator>(m, "RowAccumulator", "The triangle of the rows seen so far.")
      .def(py::init<Index>(), py::arg("columns"))
      .def("add", &RowAccumulator::add, py::arg("A"), py::arg("b"))
      .def("merge", &RowAccumulator::merge, py::arg("other"))
      .def("triangle", &RowAccumulator::triangle)
      .def("restore", &RowAccumulator::restore, py::arg("triangle"), py::arg("rows"))
      .def_property_readonly("rows", &RowAccumulator::rows);
}

}  // namespace marquardt::bind
