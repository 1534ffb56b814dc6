// The tall QR by blocks of rows: against its definition, for all widths of the last panel and heights of the last
// block.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "fakes.hpp"
#include "marquardt/linalg/fold.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

const std::vector<std::pair<Index, Index>> shapes = {{1, 1}, {3, 1},  {4, 2},   {7, 3},    {9, 4}, {13, 5},
                                                     {6, 6}, {40, 7}, {900, 9}, {700, 23}, {2, 5}, {500, 61}};

}  // namespace

TEST_CASE("fold: R'R = M'M, R'Z = M'F and what is left of F") {
  Numbers numbers(201);
  for (const auto& shape : shapes) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(m);
    CAPTURE(n);
    const Matrix M = numbers.matrix(m, n), F = numbers.matrix(m, 3);
    for (const bool keep : {false, true}) {
      TallFactor factor;
      factor.factor(strided(M), Vector(), strided(F), 1, keep);
      const double size = M.squaredNorm() + F.squaredNorm();
      CHECK((factor.R().transpose() * factor.R() - M.transpose() * M).norm() <= 1e-14 * size);
      CHECK((factor.R().transpose() * factor.Z() - M.transpose() * F).norm() <= 1e-14 * size);
      CHECK(factor.R().isUpperTriangular(0));
      for (Index c = 0; c < 3; ++c) {
        const double rest = F.col(c).squaredNorm() - factor.Z().col(c).squaredNorm();
        CHECK(std::abs(factor.rest(c) * factor.rest(c) - rest) <= 1e-13 * size);
      }
    }
  }
}

TEST_CASE("fold: Q [R; 0] = [0; M], and Q' undoes Q") {
  Numbers numbers(202);
  for (const auto& shape : shapes) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(m);
    CAPTURE(n);
    const Matrix M = numbers.matrix(m, n), none(m, 0);
    TallFactor factor;
    factor.factor(strided(M), Vector(), strided(none), 1, true);
    for (Index j = 0; j < n; ++j) {
      Vector top = factor.R().col(j), below = Vector::Zero(factor.padded());
      factor.apply(top.data(), below.data());
      CHECK(top.norm() <= 1e-13 * M.norm());
      CHECK((below.head(m) - M.col(j)).norm() <= 1e-13 * M.norm());
      CHECK(below.tail(factor.padded() - m).norm() <= 1e-13 * M.norm());
      factor.apply_transposed(top.data(), below.data());
      CHECK((top - factor.R().col(j)).norm() <= 1e-13 * M.norm());
      CHECK(below.norm() <= 1e-13 * M.norm());
    }
  }
}

TEST_CASE("fold: scales, strides and storage that was used before") {
  Numbers numbers(203);
  const Matrix big = numbers.matrix(60, 10);
  const Matrix M = big.block(3, 2, 50, 4), F = big.block(3, 7, 50, 1), transposed = M.transpose();
  const Vector scale = vector({4, 1, 0.5, 2});
  TallFactor fresh, used;
  fresh.factor(strided(Matrix(M * scale.asDiagonal())), Vector(), strided(Matrix(F * 8)), 1, true);
  used.factor(strided(numbers.matrix(300, 9)), Vector(), strided(numbers.matrix(300, 2)), 1, true);
  used.factor(strided(big.block(3, 2, 50, 4)), scale, strided(big.block(3, 7, 50, 1)), 8, true);
  CHECK(used.R() == fresh.R());
  CHECK(used.Z() == fresh.Z());
  const StridedView rows(transposed.data(), 50, 4, {1, 4});
  used.factor(rows, scale, strided(F), 8, true);
  CHECK(used.R() == fresh.R());
}

TEST_CASE("fold: zero columns and rows, and no rows at all") {
  Numbers numbers(204);
  Matrix M = numbers.matrix(30, 6), F = numbers.matrix(30, 1);
  M.col(2).setZero();
  M.middleRows(10, 8).setZero();
  TallFactor factor;
  factor.factor(strided(M), Vector(), strided(F), 1, false);
  CHECK(factor.R().col(2) == Vector::Zero(6));
  CHECK((factor.R().transpose() * factor.R() - M.transpose() * M).norm() <= 1e-14 * M.squaredNorm());
  factor.factor(strided(Matrix(0, 3)), Vector(), strided(Matrix(0, 2)), 1, true);
  CHECK(factor.R() == Matrix::Zero(3, 3));
  CHECK(factor.Z() == Matrix::Zero(3, 2));
  CHECK(factor.rest(1) == 0);
}

TEST_CASE("fold: what is not a number is seen in R or Z") {
  Numbers numbers(205);
  for (const double wild : {not_a_number, infinity, -infinity}) {
    for (Index j = 0; j < 5; ++j) {
      Matrix both = numbers.matrix(20, 5);
      both(11, j) = wild;
      TallFactor factor;
      factor.factor(strided(both.leftCols(4)), Vector(), strided(both.rightCols(1)), 1, false);
      const double rest = factor.rest(0);
      CHECK_FALSE((factor.R().allFinite() && factor.Z().allFinite() && std::isfinite(rest)));
    }
  }
}

TEST_CASE("fold: rows as they come, with several sides, and the triangles of two halves together") {
  Numbers numbers(206);
  for (const auto& shape : shapes) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(m);
    CAPTURE(n);
    const Matrix M = numbers.matrix(m, n), F = numbers.matrix(m, 2);
    const double size = M.squaredNorm() + F.squaredNorm();
    for (const Index block : {Index{1}, Index{3}, n, m}) {
      TallFactor whole, halves[2];
      for (TallFactor* one : {&whole, &halves[0], &halves[1]}) one->begin(Matrix(0, n), Matrix(0, 2));
      for (Index top = 0; top < m; top += block) {
        const Index k = std::min(block, m - top);
        const Matrix rows = M.middleRows(top, k), sides = F.middleRows(top, k);
        whole.add(strided(rows), Vector(), strided(sides), 1);
        halves[2 * top < m ? 0 : 1].add(strided(rows), Vector(), strided(sides), 1);
      }
      halves[0].absorb(halves[1]);
      for (const TallFactor& factor : {whole, halves[0]}) {
        CHECK(factor.R().isUpperTriangular(0));
        CHECK((factor.R().transpose() * factor.R() - M.transpose() * M).norm() <= 1e-14 * size);
        CHECK((factor.R().transpose() * factor.Z() - M.transpose() * F).norm() <= 1e-14 * size);
        for (Index c = 0; c < 2; ++c) {
          const double rest = F.col(c).squaredNorm() - factor.Z().col(c).squaredNorm();
          CHECK(std::abs(factor.rest(c) * factor.rest(c) - rest) <= 1e-13 * size);
        }
        if (m < n) CHECK((factor.R().bottomRows(n - m).array() == 0).all());
      }
    }
  }
}
