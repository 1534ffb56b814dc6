// Residuals in twice the digits, against the same sums in a wider type or with a known answer.
#include <doctest/doctest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "fakes.hpp"
#include "marquardt/linalg/long_residual.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

// One row and one column, heights on both sides of multiples of 4 and 16, and more rows than one piece holds.
const std::vector<std::pair<Index, Index>> shapes = {{1, 1},  {3, 2},  {4, 4},   {15, 5},  {16, 5},
                                                     {21, 6}, {50, 9}, {900, 7}, {333, 61}};

PairVector of(const Vector& high) { return {high, Vector::Zero(high.size())}; }

Vector lengths_of(const Matrix& A) { return A.colwise().norm().transpose(); }

// Small integers: every sum below is exact in double precision.
Matrix integers(Numbers& numbers, Index m, Index n) {
  return (numbers.matrix(m, n) * 100).unaryExpr([](double v) { return std::round(v); });
}

}  // namespace

TEST_CASE("long residual: exact where double precision is") {
  Numbers numbers(301);
  for (const auto& shape : shapes) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(m);
    CAPTURE(n);
    const Matrix A = integers(numbers, m, n);
    const Vector x = integers(numbers, n, 1), b = integers(numbers, m, 1), lengths = lengths_of(A), none;
    PairVector r, y;
    r.resize(m);
    LongResidual residual;
    residual.begin(strided(A), none, lengths);
    residual.sweep(of(b), of(x), nullptr, r, y);
    CHECK(r.high == b - A * x);
    CHECK(r.low.isZero(0));
    CHECK(y.high == A.transpose() * (b - A * x));
    CHECK(y.low.isZero(0));
  }
}

TEST_CASE("long residual: what double precision loses is kept") {
  // b = A x rounded; its error, which the products tell by fma, is the residual
  Numbers numbers(302);
  const Index m = 40;
  const Matrix A = numbers.matrix(m, 1);
  const Vector x = numbers.matrix(1, 1), b = A * x, lengths = lengths_of(A), none;
  PairVector r, y;
  r.resize(m);
  LongResidual residual;
  residual.begin(strided(A), none, lengths);
  residual.sweep(of(b), of(x), nullptr, r, y);
  for (Index i = 0; i < m; ++i) {
    const double error = -std::fma(A(i, 0), x[0], -b[i]);
    CHECK(std::abs(r.high[i] + r.low[i] - error) <= 1e-30 * lengths[0] * std::abs(x[0]));
  }
}

TEST_CASE("long residual: low parts of s, x and w count, scales multiply columns") {
  Numbers numbers(303);
  for (const auto& shape : shapes) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(m);
    CAPTURE(n);
    const Matrix A = integers(numbers, m, n);
    Vector scale(n);
    for (Index j = 0; j < n; ++j) scale[j] = std::ldexp(1, static_cast<int>(j % 5) - 2);
    const Matrix scaled = A * scale.asDiagonal();
    const Vector lengths = lengths_of(scaled);
    // all low parts are integers of 2^-60: invisible beside the high parts, and their sums exact by themselves
    const Vector zero_m = Vector::Zero(m), zero_n = Vector::Zero(n);
    const Vector s = integers(numbers, m, 1), x = integers(numbers, n, 1), w = integers(numbers, m, 1);
    const double tiny = std::ldexp(1, -60);
    PairVector r, y;
    r.resize(m);
    LongResidual residual;
    residual.begin(strided(A), scale, lengths);
    const PairVector whole_w{w, w * tiny};
    residual.sweep({s, s * tiny}, {x, x * tiny}, &whole_w, r, y);
    const Vector want_r = s - scaled * x, want_y = scaled.transpose() * w;
    const double size = (1 + s.cwiseAbs().maxCoeff() + lengths.dot(x.cwiseAbs())),
                 size_y = lengths.maxCoeff() * w.norm();
    CHECK((r.high - want_r).cwiseAbs().maxCoeff() <= epsilon * size);
    CHECK(((r.high - want_r) + r.low - want_r * tiny).cwiseAbs().maxCoeff() <= 1e-30 * size);
    CHECK(((y.high - want_y) + y.low - want_y * tiny).cwiseAbs().maxCoeff() <= 1e-28 * (1 + size_y));
  }
}

TEST_CASE("long residual: subtract takes A x away") {
  Numbers numbers(304);
  for (const auto& shape : shapes) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(m);
    CAPTURE(n);
    const Matrix A = integers(numbers, m, n);
    const Vector x = integers(numbers, n, 1), lengths = lengths_of(A), none;
    Vector r = integers(numbers, m, 1);
    const Vector want = r - A * x;
    LongResidual residual;
    residual.begin(strided(A), none, lengths);
    residual.subtract(x, r);
    CHECK(r == want);
  }
}

TEST_CASE("long residual: adding to a pair keeps both parts") {
  PairVector v;
  v.set_zero(1);
  v.add(0, 1);
  v.add(0, 1e-20);
  v.add(0, -1);
  CHECK(v.high[0] + v.low[0] == doctest::Approx(1e-20).epsilon(1e-12));
}
