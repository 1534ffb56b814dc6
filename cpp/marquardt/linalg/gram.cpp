// S += [J r]'[J r] by tiles of 4 x 3 inner products, whose sums stay in registers.
//
//   S_ij += sum over the rows k of a block of a_ki a_kj,  j <= i
//
// A tile reads 7 columns for 12 products. Fifteen columns of a block fit the first level of cache: three strips of 4
// that stay, and 3 that pass by.
// Reference: Goto & van de Geijn (2008), Anatomy of high-performance matrix multiplication (blocking for caches).
#include "marquardt/linalg/gram.hpp"

#include <algorithm>
#include <cassert>

#include "marquardt/linalg/lanes.hpp"

namespace marquardt {
namespace {

constexpr Index tall = 4, broad = 3;  // of a tile: its 12 sums and 4 operands are the 16 registers of AVX2
constexpr Index strips = 3;           // of 4 columns that stay in the first level of cache together

using Columns = const double* const*;

// S(i.., j..) += A'B for P columns of A and Q of B
template <int P, int Q>
[[gnu::always_inline]] inline void add_tile(Columns A, Columns B, Index rows, double* S, Index stride) {
  const double *a[P], *b[Q];
  for (int p = 0; p < P; ++p) a[p] = A[p];
  for (int q = 0; q < Q; ++q) b[q] = B[q];
  Lanes sum[P * Q] = {};
  for (Index k = 0; k < rows; k += 4) {
    Lanes right[Q];
    for (int q = 0; q < Q; ++q) right[q] = lanes_at(b[q] + k);
    for (int p = 0; p < P; ++p) {
      const Lanes left = lanes_at(a[p] + k);
      for (int q = 0; q < Q; ++q) sum[p + P * q] += left * right[q];
    }
  }
  for (int q = 0; q < Q; ++q) {
    for (int p = 0; p < P; ++p) S[p + q * stride] += sum_of(sum[p + P * q]);
  }
}

template <int P>
[[gnu::always_inline]] inline void add_tile(Columns A, Columns B, Index q, Index rows, double* S, Index stride) {
  if (q >= 3) {
    add_tile<P, 3>(A, B, rows, S, stride);
  } else if (q == 2) {
    add_tile<P, 2>(A, B, rows, S, stride);
  } else {
    add_tile<P, 1>(A, B, rows, S, stride);
  }
}

struct Products {
  Columns columns;
  Index count, rows;
  double* S;
  [[gnu::always_inline]] void operator()() const {
    for (Index top = 0; top < count; top += strips * tall) {
      const Index end = std::min(count, top + strips * tall);
      for (Index j = 0; j < end; j += broad) {
        for (Index i = std::max(top, j / tall * tall); i < end; i += tall) {
          const Index p = std::min(tall, count - i), q = std::min(broad, count - j);
          double* at = S + i + j * count;
          if (p == 4) {
            add_tile<4>(columns + i, columns + j, q, rows, at, count);
          } else if (p == 3) {
            add_tile<3>(columns + i, columns + j, q, rows, at, count);
          } else if (p == 2) {
            add_tile<2>(columns + i, columns + j, q, rows, at, count);
          } else {
            add_tile<1>(columns + i, columns + j, q, rows, at, count);
          }
        }
      }
    }
  }
};

// Rows of a block: 15 columns of 256 rows are 30 kB, what the first level of cache holds.
constexpr Index block_rows = 256;

// Columns of the laid out block are four doubles more apart, so that they do not fall into the same sets of the cache.
constexpr Index spacing = block_rows + 4;

// From here on two passes, whole fours where they lie and the rest laid out, cost less than laying all out.
constexpr Index few_rows = 32;

}  // namespace

void GramSum::add(const StridedView& J, const VectorView& r, Matrix& S) {
  const Index m = J.rows(), n = J.cols();
  assert(r.size() == m && S.rows() == n + 1 && S.cols() == n + 1);
  columns_.resize(static_cast<std::size_t>(n + 1));
  if (storage_.size() < spacing * (n + 1) + line) storage_.resize(spacing * (n + 1) + line);
  double* own = align(storage_.data());
  const StridedView right(r.data(), m, 1, {m, 1});
  Index first = 0;
  while (first < m) {
    Index rows = std::min(block_rows, m - first);
    if (J.innerStride() == 1 && (rows >= few_rows || rows % 4 == 0)) {
      rows = rows / 4 * 4;
      for (Index j = 0; j < n; ++j) columns_[j] = J.data() + first + j * J.outerStride();
      columns_[n] = r.data() + first;
    } else {  // rows side by side, or the last three: filled up with zeros
      copy_rows(J, first, rows, own, spacing);
      copy_rows(right, first, rows, own + n * spacing, spacing);
      for (Index j = 0; j <= n; ++j) {
        columns_[j] = own + j * spacing;
        std::fill(own + j * spacing + rows, own + j * spacing + (rows + 3) / 4 * 4, 0.0);
      }
    }
    run_widest(Products{columns_.data(), n + 1, (rows + 3) / 4 * 4, S.data()});
    first += rows;
  }
}

}  // namespace marquardt
