// Many systems at once: each as LinearSolver solves it alone, and those that need it by that very way.
#include <doctest/doctest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "fakes.hpp"
#include "marquardt/solve/linear_stack.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

struct Answers {
  Answers(Index count, Index m, Index n, Index k)
      : x(count * n * k),
        residuals(count * m * k),
        cost(count * k),
        rank(count),
        condition(count),
        triangle(count * n * n) {}
  LinearStackFit places() {
    return {x.data(), residuals.data(), cost.data(), rank.data(), condition.data(), triangle.data()};
  }
  Vector x, residuals, cost, rank, condition, triangle;
};

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Every system of the stack against LinearSolver
void check_alone(const Vector& A, const Vector& b, Index count, Index m, Index n, Index k) {
  Answers answers(count, m, n, k);
  REQUIRE(solve_stack({A.data(), b.data(), count, m, n, k}, -1, answers.places()) == count);
  for (Index i = 0; i < count; ++i) {
    CAPTURE(i);
    LinearFit fit;
    LinearSolver solver({});
    REQUIRE(solver.solve({A.data() + i * m * n, m, n, {1, n}}, {b.data() + i * m * k, m, k, {1, k}}, fit));
    const Matrix x = Eigen::Map<RowMajor>(answers.x.data() + i * n * k, n, k);
    const Matrix r = Eigen::Map<RowMajor>(answers.residuals.data() + i * m * k, m, k);
    const Matrix T = Eigen::Map<RowMajor>(answers.triangle.data() + i * n * n, n, n);
    const double fitted = fit.triangle.stableNorm() * x.stableNorm();
    CHECK((x - fit.x).stableNorm() <= 4 * epsilon * fit.x.stableNorm());
    CHECK((r - fit.residuals).stableNorm() <= 1e-14 * (fit.residuals.stableNorm() + epsilon * fitted));
    CHECK((T - fit.triangle).stableNorm() <= 1e-13 * fit.triangle.stableNorm());
    CHECK(answers.rank[i] == static_cast<double>(fit.rank));
    CHECK((fit.condition == infinity ? answers.condition[i] == infinity
                                     : std::abs(answers.condition[i] - fit.condition) <= 1e-12 * fit.condition));
    for (Index c = 0; c < k; ++c) {
      CHECK(std::abs(answers.cost[i * k + c] - fit.cost[c]) <= 1e-13 * fit.cost[c] + 1e-30);
    }
  }
}

}  // namespace

TEST_CASE("linear stack: as one by one, every shape and remainder of four") {
  Numbers numbers(311);
  const std::vector<std::pair<Index, Index>> shapes = {{1, 1}, {2, 2}, {4, 2}, {9, 3}, {20, 5}, {33, 8}, {12, 9}};
  for (const auto& shape : shapes) {
    const Index m = shape.first, n = shape.second;
    for (const Index count : {1, 3, 4, 9}) {
      for (const Index k : {1, 2, 3}) {
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(count);
        CAPTURE(k);
        const Vector A = numbers.matrix(count * m * n, 1), b = numbers.matrix(count * m * k, 1);
        check_alone(A, b, count, m, n, k);
      }
    }
  }
}

TEST_CASE("linear stack: systems that need another way do not disturb their neighbours") {
  Numbers numbers(312);
  const Index count = 8, m = 6, n = 3, size = m * n;
  Vector A = numbers.matrix(count * size, 1);
  const Vector b = numbers.matrix(count * m, 1);
  A.segment(size, size).setZero();                                                         // no rank at all
  for (Index i = 0; i < m; ++i) A[2 * size + i * n + 2] = A[2 * size + i * n];             // a column twice
  for (Index i = 0; i < m; ++i) A[3 * size + i * n] = A[3 * size + i * n + 1] + 1e-7 * i;  // ill-conditioned
  A.segment(5 * size, size) *= 1e-200;                                                     // squares out of range
  A.segment(6 * size, size) *= 1e200;
  check_alone(A, b, count, m, n, 1);
}

TEST_CASE("linear stack: the first system that is not finite is named") {
  Numbers numbers(313);
  const Index count = 7, m = 5, n = 2;
  for (const double bad : {infinity, -infinity, std::nan("")}) {
    for (const Index at : {0, 3, 6}) {
      Vector A = numbers.matrix(count * m * n, 1), b = numbers.matrix(count * m, 1);
      Answers answers(count, m, n, 1);
      A[at * m * n + 4] = bad;
      CHECK(solve_stack({A.data(), b.data(), count, m, n, 1}, -1, answers.places()) == at);
      A[at * m * n + 4] = 1;
      b[at * m + 1] = bad;
      CHECK(solve_stack({A.data(), b.data(), count, m, n, 1}, -1, answers.places()) == at);
    }
  }
}
