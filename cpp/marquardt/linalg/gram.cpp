// S += [J r]'[J r] by tiles whose sums stay in registers, block of rows by block of rows.
//
//   S_ij += sum over the rows k of a block of a_ki a_kj,  j <= i
//
// Few columns: tiles of 4 x 3 inner products, of columns that are read where they lie. A tile reads 7 columns for 12
// products. Fifteen columns of a block fit the first level of cache: three strips of 4 that stay, and 3 that pass by.
//
// Many columns: a block is packed first, in panels of 4 columns whose rows follow each other, and a tile of 12 x 4 adds
// row after row the products of three panels with one. It reads as much, but in order, and ends without sums across
// lanes; that pays for the packing.
//
// Reference: Goto & van de Geijn (2008), Anatomy of high-performance matrix multiplication (packing, blocking for
// caches).
#include "marquardt/linalg/gram.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include "marquardt/linalg/lanes.hpp"

namespace marquardt {
namespace {

// Rows of a block: 15 columns of 256 rows are 30 kB, what the first level of cache holds, and so are 4 panels.
constexpr Index block_rows = 256;

// ---- Few columns

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

// From here on two passes, whole fours where they lie and the rest laid out, cost less than laying all out.
constexpr Index few_rows = 32;

// ---- Many columns

// From here on packing pays, in both orders of memory. Narrow lanes have no registers for such a tile, and it loses.
constexpr Index many_columns = 96;

// Panels are a line more apart for the same reason.
constexpr Index panel_size = 4 * block_rows + line;

constexpr Index panels_of(Index columns) { return (columns + 3) / 4; }

// S(i.., j..) += A'B for P panels of A and one of B, but for the rows and columns before `from`: those of padding.
template <int P>
[[gnu::always_inline]] inline void add_panels(const double* A, const double* B, Index rows, const Index (&from)[2],
                                              double* S, Index stride) {
  for (int c = 0; c < 4; ++c) {  // S may have left the cache since the last block
    fetch(S + c * stride);
    fetch(S + c * stride + 4 * P - 1);
  }
  Lanes sum[P * 4] = {};
  for (Index k = 0; k < rows; ++k) {
    Lanes left[P];
    for (int p = 0; p < P; ++p) left[p] = lanes_at(A + p * panel_size + 4 * k);
    for (int c = 0; c < 4; ++c) {
      const double right = B[4 * k + c];
      for (int p = 0; p < P; ++p) sum[p + P * c] += left[p] * right;
    }
  }
  for (int c = 0; c < 4; ++c) {
    if (c < from[1]) continue;
    double* to = S + c * stride;
    for (int p = 0; p < P; ++p, to += 4) {
      if (p == 0 && from[0] > 0) {
        for (Index s = from[0]; s < 4; ++s) to[s] += sum[P * c][s];
      } else {
        lanes_at(to) += sum[p + P * c];
      }
    }
  }
}

// Strips of three panels pass through the first level of cache; what is left over is the first strip, which is short.
struct PanelProducts {
  const double* panels;
  Index count, rows;
  double* S;
  [[gnu::always_inline]] void operator()() const {
    const Index all = panels_of(count), padding = 4 * all - count;
    for (Index top = 0, end = (all + 2) % 3 + 1; top < all; top = end, end += 3) {
      for (Index j = 0; j < end; ++j) {
        const Index i = std::max(top, j), from[] = {i == 0 ? padding : 0, j == 0 ? padding : 0};
        const double *A = panels + i * panel_size, *B = panels + j * panel_size;
        double* at = S + (4 * i - padding) + (4 * j - padding) * count;
        if (end - i == 3) {
          add_panels<3>(A, B, rows, from, at, count);
        } else if (end - i == 2) {
          add_panels<2>(A, B, rows, from, at, count);
        } else {
          add_panels<1>(A, B, rows, from, at, count);
        }
      }
    }
  }
};

// Rows of [J r] to panels. As many columns of zeros as the count lacks to a multiple of 4 come first: entries of S that
// are not there are then in the first panel only, and the last one ends with r.
struct Packing {
  const double *J, *r;
  Index step, stride;  // of J: from row to row, from column to column
  Index rows, n;
  double* to;

  [[gnu::always_inline]] void operator()() const {
    const Index all = panels_of(n + 1), padding = 4 * all - (n + 1);
    const bool by_rows = std::abs(stride) < std::abs(step);
    for (Index p = 0; p < all; p += by_rows ? all - 1 : 1) pack_columns(p, padding);
    if (by_rows) pack_rows(all, padding);
  }

  struct Column {
    const double* data;
    Index step;
  };
  [[gnu::always_inline]] Column column(Index j) const {
    static constexpr double zero = 0;
    if (j < 0) return {&zero, 0};
    if (j == n) return {r, 1};
    return {J + j * stride, step};
  }

  // Panel p column by column
  [[gnu::always_inline]] void pack_columns(Index p, Index padding) const {
    const Index j = 4 * p - padding;
    const Column a = column(j), b = column(j + 1), c = column(j + 2), d = column(j + 3);
    double* out = to + p * panel_size;
    for (Index k = 0; k < rows; ++k, out += 4) {
      lanes_at(out) = Lanes{a.data[k * a.step], b.data[k * b.step], c.data[k * c.step], d.data[k * d.step]};
    }
  }

  // All panels but the first and the last in the order in which rows lie in memory, two rows at a time: they fill a
  // line of the cache.
  [[gnu::always_inline]] void pack_rows(Index all, Index padding) const {
    for (Index k = 0; k < rows; k += 2) {
      const double* row = J + k * step + (4 - padding) * stride;
      const Index next = k + 1 < rows ? step : 0;  // the last row once more, where nobody reads it
      double* out = to + panel_size + 4 * k;
      for (Index p = 1; p + 1 < all; ++p, row += 4 * stride, out += panel_size) {
        if (stride == 1) {
          lanes_at(out) = lanes_at(row);
          lanes_at(out + 4) = lanes_at(row + next);
        } else {
          for (Index c = 0; c < 4; ++c) out[c] = row[c * stride], out[c + 4] = row[c * stride + next];
        }
      }
    }
  }
};

}  // namespace

void GramSum::add(const StridedView& J, const VectorView& r, Matrix& S) {
  assert(r.size() == J.rows() && S.rows() == J.cols() + 1 && S.cols() == J.cols() + 1);
  if (J.cols() >= many_columns && runs_wide()) {
    add_packed(J, r, S);
  } else {
    add_in_place(J, r, S);
  }
}

void GramSum::add_in_place(const StridedView& J, const VectorView& r, Matrix& S) {
  const Index m = J.rows(), n = J.cols();
  // columns of the laid out block are a line of the cache more apart, so that they do not fall into the same sets
  const Index spacing = (std::min(m, block_rows) + 3) / 4 * 4 + line;
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

void GramSum::add_packed(const StridedView& J, const VectorView& r, Matrix& S) {
  const Index m = J.rows(), count = J.cols() + 1, size = panels_of(count) * panel_size + line;
  if (storage_.size() < size) storage_.resize(size);
  double* panels = align(storage_.data());
  for (Index first = 0; first < m; first += block_rows) {
    const Index rows = std::min(block_rows, m - first);
    run_widest(Packing{J.data() + first * J.innerStride(), r.data() + first, J.innerStride(), J.outerStride(), rows,
                       J.cols(), panels});
    run_widest(PanelProducts{panels, count, rows, S.data()});
  }
}

}  // namespace marquardt
