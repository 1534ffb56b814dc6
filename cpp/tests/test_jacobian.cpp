#include <doctest/doctest.h>

#include "marquardt/problem/jacobian.hpp"
#include "samples.hpp"

using namespace marquardt;

namespace {

enum class Kept { own, own_transposed, borrowed_columns, borrowed_rows };

// A in each of the ways in which a Jacobian may lie in memory; what is borrowed lives in `memory`.
Jacobian kept(const Matrix& A, Kept how, const std::shared_ptr<Matrix>& memory) {
  Jacobian J;
  switch (how) {
    case Kept::own:
      J.own() = A;
      break;
    case Kept::own_transposed:
      J.own_transposed() = A.transpose();
      break;
    case Kept::borrowed_columns:
      *memory = A;
      J.borrow(memory->data(), A.rows(), A.cols(), false, memory);
      break;
    case Kept::borrowed_rows:
      *memory = A.transpose();
      J.borrow(memory->data(), A.rows(), A.cols(), true, memory);
      break;
  }
  return J;
}

constexpr Kept ways[] = {Kept::own, Kept::own_transposed, Kept::borrowed_columns, Kept::borrowed_rows};

}  // namespace

TEST_CASE("jacobian: the same matrix however it lies in memory") {
  for (const auto& shape : {std::pair<Index, Index>{1, 1}, {1, 4}, {5, 1}, {7, 3}, {3, 7}, {2000, 40}, {40, 3000}}) {
    const Index m = shape.first, n = shape.second;
    const Matrix A = samples::uniform(m, n, 1);
    const Vector s = samples::uniform(n, 1, 2), v = samples::uniform(m, 1, 3);
    const double tolerance = 1e-14 * static_cast<double>(m + n);
    for (const Kept how : ways) {
      CAPTURE(m);
      CAPTURE(n);
      CAPTURE(static_cast<int>(how));
      const Jacobian J = kept(A, how, std::make_shared<Matrix>());
      CHECK(J.rows() == m);
      CHECK(J.cols() == n);
      CHECK(J.view() == A);
      Vector image = v, pulled;
      J.add_product(-0.5, s, image);
      CHECK((image - (v - 0.5 * A * s)).norm() <= tolerance);
      J.pull(v, pulled);
      CHECK((pulled - A.transpose() * v).norm() <= tolerance);

      Vector together = v;
      J.add_product_and_pull(-0.5, s, together, v, pulled);
      CHECK((together - image).norm() <= tolerance);
      CHECK((pulled - A.transpose() * v).norm() <= tolerance);
      J.add_product_and_pull(-0.5, s, together = v, together, pulled);  // of the image itself
      CHECK((pulled - A.transpose() * image).norm() <= tolerance);
    }
  }
}

TEST_CASE("jacobian: rows are scaled in numbers of its own, and what was borrowed stays as it was") {
  const Matrix A = samples::uniform(6, 3, 4);
  const Vector factors = samples::uniform(6, 1, 5);
  for (const Kept how : ways) {
    const auto memory = std::make_shared<Matrix>();
    Jacobian J = kept(A, how, memory);
    const Matrix before = *memory;
    J.scale_rows(factors);
    CHECK(J.view() == Matrix(factors.asDiagonal() * A));
    CHECK(*memory == before);
    CHECK(J.owner() == nullptr);
  }
}

TEST_CASE("jacobian: memory is held as long as a Jacobian lies there") {
  const auto memory = std::make_shared<Matrix>();
  {
    Jacobian J = kept(samples::uniform(6, 3, 4), Kept::borrowed_rows, memory);
    CHECK(memory.use_count() == 2);
    Jacobian other = std::move(J);
    CHECK(memory.use_count() == 2);
    other.own().setZero(1, 1);
    CHECK(memory.use_count() == 1);
    other = kept(samples::uniform(2, 2, 4), Kept::borrowed_columns, memory);
    CHECK(memory.use_count() == 2);
  }
  CHECK(memory.use_count() == 1);
}
