// linalg/accumulator: rows reduced to a triangle or to the Gram matrix, against sums in extended precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "marquardt/linalg/accumulator.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::error;
using samples::Long;
using samples::LongMatrix;
using samples::LongVector;
using samples::uniform;

namespace {

// The cosines between columns of J and of R agree, whatever the sizes of the columns: R'R = J'J, column-wise.
double gram_error(const Matrix& R, const Matrix& J) {
  const LongMatrix a = R.cast<Long>(), b = J.cast<Long>();
  const LongMatrix difference = a.transpose() * a - b.transpose() * b;
  double worst = 0;
  for (Index i = 0; i < J.cols(); ++i) {
    for (Index j = 0; j < J.cols(); ++j) {
      const Long size = b.col(i).norm() * b.col(j).norm();
      if (size > 0) worst = std::max(worst, static_cast<double>(std::abs(difference(i, j)) / size));
      if (size == 0) CHECK(difference(i, j) == 0);
    }
  }
  return worst;
}

void check_reduced(const Reduced& rows, const Matrix& J, const Vector& r) {
  const Index m = J.rows(), n = J.cols();
  const double tolerance = 20 * std::sqrt(static_cast<double>(m * n)) * epsilon;
  CHECK(rows.rows == m);
  if (rows.form == Form::triangle) {
    CHECK((rows.R.triangularView<Eigen::StrictlyLower>().toDenseMatrix().array() == 0).all());
    Matrix all(n, n + 1), data(m, n + 1);
    all << rows.R, rows.z;
    data << J, r;
    CHECK(gram_error(rows.R, J) < tolerance);
    CHECK(rows.z.norm() <= r.norm() * (1 + tolerance));
    if (m < n) CHECK((rows.R.bottomRows(n - m).array() == 0).all());
  } else {
    CHECK(rows.H == rows.H.transpose());
    const LongMatrix b = J.cast<Long>(), H = b.transpose() * b;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) {
        CHECK(std::abs(rows.H(i, j) - H(i, j)) <= tolerance * b.col(i).norm() * b.col(j).norm());
      }
    }
  }
  const Long length = r.cast<Long>().norm();
  for (Index j = 0; j < n; ++j) {
    const LongVector column = J.col(j).cast<Long>();
    const Long norm = column.norm();
    CHECK(std::abs(rows.column_norms[j] - norm) <= tolerance * norm);
    CHECK(std::abs(rows.g[j] - column.dot(r.cast<Long>())) <= tolerance * norm * length);
  }
  CHECK(std::abs(rows.rr - length * length) <= 2 * tolerance * length * length);
}

const Form forms[] = {Form::triangle, Form::gram};

}  // namespace

TEST_CASE("accumulator: every shape, from one row to blocked sizes") {
  // one side of every tile and panel: below, at and above multiples of 3 and 4; 400 x 300 starts with panels of 48;
  // from 96 columns on rows are packed
  const std::pair<Index, Index> shapes[] = {{1, 1},    {7, 1},    {2, 2},    {5, 3},    {3, 5},     {1, 6},   {50, 8},
                                            {9, 9},    {40, 20},  {500, 24}, {200, 70}, {400, 300}, {60, 80}, {5000, 3},
                                            {512, 12}, {257, 6},  {258, 7},  {259, 10}, {261, 11},  {40, 13}, {21, 20},
                                            {300, 96}, {257, 99}, {3, 102},  {600, 105}};
  for (const Form form : forms) {
    for (const auto& shape : shapes) {
      const Index m = shape.first, n = shape.second;
      CAPTURE(m);
      CAPTURE(n);
      const Matrix J = uniform(m, n, static_cast<std::uint64_t>(100 * m + n));
      const Vector r = uniform(m, 1, 5);
      check_reduced(samples::reduce(form, J, r), J, r);
    }
  }
}

TEST_CASE("accumulator: no rows at all is a zero model") {
  for (const Form form : forms) {
    Accumulator accumulator(form, 3);
    accumulator.add(Matrix(0, 3), Vector(0));
    const Reduced& rows = accumulator.reduced();
    CHECK(rows.rows == 0);
    CHECK(rows.g == Vector::Zero(3));
    CHECK(rows.column_norms == Vector::Zero(3));
    CHECK(rows.rr == 0);
    CHECK((form == Form::triangle ? rows.R : rows.H) == Matrix::Zero(3, 3));
  }
}

TEST_CASE("accumulator: blocks of any size equal one block, and so does a merge") {
  const Matrix J = uniform(61, 7, 11);
  const Vector r = uniform(61, 1, 12);
  for (const Form form : forms) {
    for (const Index block : {1, 3, 20, 60}) {
      CAPTURE(block);
      Accumulator whole(form, 7), left(form, 7), right(form, 7);
      for (Index i = 0; i < 61; i += block) {
        const Index k = std::min<Index>(block, 61 - i);
        whole.add(J.middleRows(i, k), r.segment(i, k));
        (i % 2 ? left : right).add(J.middleRows(i, k), r.segment(i, k));
      }
      check_reduced(whole.reduced(), J, r);
      left.merge(right);
      check_reduced(left.reduced(), J, r);
    }
  }
}

TEST_CASE("accumulator: the residual outside the columns' reach is kept through blocks and merges") {
  Matrix J(2, 1);
  J << 1, 0;
  Vector r(2);
  r << 3, 4;  // z = -+3, rest = 4
  Accumulator a(Form::triangle, 1), b(Form::triangle, 1);
  a.add(J, r);
  b.add(J, r);
  a.merge(b);
  a.merge(a);  // with itself
  const Reduced& rows = a.reduced();
  CHECK(rows.rows == 8);
  CHECK(rows.rr == doctest::Approx(100).epsilon(1e-14));
  CHECK(rows.z.squaredNorm() == doctest::Approx(36).epsilon(1e-14));
  CHECK(rows.g[0] == doctest::Approx(12).epsilon(1e-14));
}

TEST_CASE("accumulator: clear starts again") {
  const Matrix J = uniform(9, 4, 21);
  const Vector r = uniform(9, 1, 22);
  for (const Form form : forms) {
    Accumulator accumulator(form, 4);
    accumulator.add(uniform(30, 4, 23), uniform(30, 1, 24));
    accumulator.clear();
    accumulator.add(J, r);
    check_reduced(accumulator.reduced(), J, r);
  }
}

TEST_CASE("accumulator: zero, duplicated and badly scaled columns") {
  Matrix J = uniform(30, 6, 31);
  J.col(1).setZero();
  J.col(3) = J.col(0);
  J.col(4) *= 1e8;
  J.col(5) *= 1e-8;
  const Vector r = uniform(30, 1, 32);
  for (const Form form : forms) {
    const Reduced rows = samples::reduce(form, J, r);
    check_reduced(rows, J, r);
    CHECK(rows.column_norms[1] == 0);
    CHECK(rows.g[1] == 0);
  }
}

TEST_CASE("accumulator: entries of 1e150, 1e-150 and beyond lose nothing") {
  for (const double size : {1e150, 1e-150}) {
    for (const Index block : {30, 7}) {
      Matrix J = uniform(30, 4, 41);
      J.col(2) *= size;
      // small against the head of its column: squares underflow unless the column is scaled
      J.col(3) *= 1e-150;
      J.col(3).tail(29) *= 1e-6;
      const Vector r = uniform(30, 1, 42) * size;
      Accumulator accumulator(Form::triangle, 4);
      for (Index i = 0; i < 30; i += block) {
        const Index k = std::min<Index>(block, 30 - i);
        accumulator.add(J.middleRows(i, k), r.segment(i, k));
      }
      check_reduced(accumulator.reduced(), J, r);
    }
  }
}

TEST_CASE("accumulator: a column is zero only if its entries are") {
  Matrix J = Matrix::Zero(6, 2);
  J.col(0).setOnes();
  J(3, 1) = 1e-300;  // its square is zero
  J(4, 1) = -1e-300;
  const Vector r = Vector::Ones(6);
  for (const Form form : forms) {
    const Reduced rows = samples::reduce(form, J, r);
    CHECK(rows.column_norms[1] == doctest::Approx(std::sqrt(2.0) * 1e-300).epsilon(1e-14));
  }
}

TEST_CASE("accumulator: Gram column norms survive squares that under- or overflow") {
  Accumulator accumulator(Form::gram, 2);
  Matrix J(2, 2);
  J << 3e-170, 3e180, 0, 4e180;
  accumulator.add(J, Vector::Zero(2));
  J << 0, 0, 4e-170, 0;
  accumulator.add(J, Vector::Zero(2));
  const Reduced& rows = accumulator.reduced();
  CHECK(rows.column_norms[0] == doctest::Approx(5e-170).epsilon(1e-14));
  CHECK(rows.column_norms[1] == doctest::Approx(5e180).epsilon(1e-14));
}

TEST_CASE("accumulator: allocates nothing the second time") {
  for (const Form form : forms) {
    for (const auto& [m, n] : {std::pair<Index, Index>{2, 2}, {50, 3}, {200, 16}, {3, 8}, {300, 100}}) {
      if (form == Form::triangle && n > 64) continue;  // Eigen's block reflectors allocate
      const Matrix J = uniform(m, n, 51);
      const Vector r = uniform(m, 1, 52);
      Accumulator accumulator(form, n), other(form, n);
      accumulator.add(J, r);
      accumulator.add(J, r);
      other.add(J, r);
      accumulator.merge(other);
      accumulator.reduced();
      const NoMalloc guard;
      accumulator.clear();
      accumulator.add(J, r);
      accumulator.add(J, r);
      accumulator.merge(other);
      CHECK(accumulator.reduced().rows == 3 * m);
    }
  }
}

TEST_CASE("accumulator: rows side by side, in reverse and with gaps are the rows they are") {
  for (const auto& shape : {std::pair<Index, Index>{72, 9}, {300, 98}}) {
    const Index m = shape.first, n = shape.second;
    CAPTURE(n);
    const Matrix J = uniform(m, n, 61), wide = uniform(2 * m, 2 * n, 62);
    const Vector r = uniform(m, 1, 63);
    Matrix transposed = J.transpose(), backwards = J.colwise().reverse(), gaps = wide, sparse = wide.transpose();
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < n; ++j) gaps(2 * i, 2 * j) = sparse(2 * j, 2 * i) = J(i, j);
    }
    using Steps = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
    const StridedView views[] = {{transposed.data(), m, n, Steps(1, n)},
                                 {gaps.data(), m, n, Steps(4 * m, 2)},
                                 {sparse.data(), m, n, Steps(2, 4 * n)},
                                 {backwards.data() + m - 1, m, n, Steps(m, -1)}};
    for (const Form form : forms) {
      const Reduced whole = samples::reduce(form, J, r);
      for (const StridedView& view : views) {
        Accumulator accumulator(form, n);
        accumulator.add(view, r);
        check_reduced(accumulator.reduced(), J, r);
        CHECK(accumulator.reduced().R == whole.R);
        CHECK(accumulator.reduced().H == whole.H);
        CHECK(accumulator.reduced().g == whole.g);
      }
    }
  }
}

TEST_CASE("accumulator: threads share the rows, and the same count of them gives the same bits") {
  const std::pair<Index, Index> shapes[] = {{9000, 50}, {901, 160}, {2000, 30}};  // the last one is not worth it
  for (const Form form : forms) {
    for (const auto& shape : shapes) {
      const Index m = shape.first, n = shape.second;
      CAPTURE(m);
      const Matrix J = uniform(m, n, 71);
      const Vector r = uniform(m, 1, 72);
      const Reduced alone = samples::reduce(form, J, r);
      for (const Index threads : {2, 3, 5}) {
        CAPTURE(threads);
        Accumulator accumulator(form, n, threads), again(form, n, threads);
        accumulator.add(J, r);
        again.add(J.topRows(0), r.head(0));
        again.add(J, r);
        const Reduced &first = accumulator.reduced(), &second = again.reduced();
        CHECK(first.R == second.R);
        CHECK(first.z == second.z);
        CHECK(first.H == second.H);
        CHECK(first.g == second.g);
        CHECK(first.rr == second.rr);
        CHECK((first.g - alone.g).norm() <= 1e-13 * alone.column_norms.norm() * r.norm());
        CHECK((first.column_norms - alone.column_norms).norm() <= 1e-13 * alone.column_norms.norm());
        CHECK(first.rr == doctest::Approx(alone.rr).epsilon(1e-13));
        if (form == Form::triangle) {
          CHECK((first.R.transpose() * first.R - alone.R.transpose() * alone.R).norm() <= 1e-13 * J.squaredNorm());
          const bool shared = first.R != alone.R;
          CHECK(shared == (n != 30));
        }
      }
    }
  }
}

TEST_CASE("accumulator: threads fold into the rows seen before, extreme entries included") {
  const Index m = 9000, n = 50;
  Matrix J = uniform(m, n, 81);
  const Vector r = uniform(m, 1, 82);
  J.col(3) *= 1e-160;
  J.col(7) *= 1e160;
  Accumulator accumulator(Form::triangle, n, 2);
  accumulator.add(J.topRows(20), r.head(20));
  accumulator.add(J.bottomRows(m - 20), r.tail(m - 20));
  const Reduced& rows = accumulator.reduced();
  for (Index j = 0; j < n; ++j) {
    CHECK(rows.column_norms[j] == doctest::Approx(J.col(j).stableNorm()).epsilon(1e-12));
    CHECK(rows.g[j] == doctest::Approx(J.col(j).dot(r)).epsilon(1e-9));
  }
}

TEST_CASE("accumulator: one row at a time, through columns that repeat and rows that say nothing") {
  Matrix J = uniform(12, 5, 91);
  J.col(1) = J.col(0);
  J.row(0).setZero();
  J.row(1).head(3).setZero();
  J.row(6) = J.row(5);
  const Vector r = uniform(12, 1, 92);
  for (const Form form : forms) {
    Accumulator accumulator(form, 5);
    for (Index i = 0; i < 12; ++i) {
      accumulator.add(J.middleRows(i, 1), r.segment(i, 1));
      check_reduced(accumulator.reduced(), J.topRows(i + 1), r.head(i + 1));
    }
  }
}
