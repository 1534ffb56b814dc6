// Residuals in twice the digits, by running sums that start at an anchor (see lanes.hpp).
//
//   r_i = s_i - sum_j a_ij x_j       anchor >= 4 (|s_i| + sum_j |a_ij| |x_j|)      bounded by lengths of columns
//   y_j = sum_i a_ij w_i             anchor >= 4 ||a_j|| ||w||                     for the rows of a piece
//
// Reference: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., chapters 12 and 20.
#include "marquardt/linalg/long_residual.hpp"

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/lanes.hpp"

namespace marquardt {
namespace {

// Twice the four that are needed: bounds are computed with rounding.
constexpr double anchoring = 8;

// One piece of A, columns side by side, and what goes with its rows.
struct Piece {
  const double* A;
  Index rows, n;  // rows a multiple of 4
};

// Four rows of r = s - A x, of which `sum` holds -A x: high and low hold s and are overwritten.
[[gnu::always_inline]] inline void finish_rows(LongSum& sum, const Lanes& anchor, double* high, double* low) {
  add_term(lanes_at(high), sum);
  two_sum(sum.high - anchor, sum.low + lanes_at(low), lanes_at(high), lanes_at(low));
}

[[gnu::always_inline]] inline void add_terms(const Lanes& a, const Lanes& x, const Lanes& x_low, LongSum& sum) {
  add_product(a, x, sum);
  sum.low += a * x_low;
}

// N times four rows of r = s - A x
template <int N>
[[gnu::always_inline]] inline void residual_rows(const Piece& p, Index i, const double* minus_x,
                                                 const double* minus_low, const Lanes& anchor, double* high,
                                                 double* low) {
  LongSum a, b, c, d;
  begin_sum(anchor, a), begin_sum(anchor, b), begin_sum(anchor, c), begin_sum(anchor, d);
  const double* column = p.A + i;
  for (Index j = 0; j < p.n; ++j, column += p.rows) {
    Lanes x, y;
    spread(minus_x[j], x), spread(minus_low[j], y);
    add_terms(lanes_at(column), x, y, a);
    if (N > 1) add_terms(lanes_at(column + 4), x, y, b);
    if (N > 2) add_terms(lanes_at(column + 8), x, y, c);
    if (N > 3) add_terms(lanes_at(column + 12), x, y, d);
  }
  finish_rows(a, anchor, high + i, low + i);
  if (N > 1) finish_rows(b, anchor, high + i + 4, low + i + 4);
  if (N > 2) finish_rows(c, anchor, high + i + 8, low + i + 8);
  if (N > 3) finish_rows(d, anchor, high + i + 12, low + i + 12);
}

[[gnu::always_inline]] inline void finish_column(const LongSum& sum, double anchor, double& high, double& low) {
  Lanes start;
  spread(anchor, start);
  double more;
  two_sum(high, sum_of(sum.high - start), high, more);
  low += more + sum_of(sum.low);
}

[[gnu::always_inline]] inline void begin_column(double anchor, LongSum& sum) {
  Lanes start;
  spread(anchor, start);
  begin_sum(start, sum);
}

// N columns of A'w, N = 1 or 4
template <int N>
[[gnu::always_inline]] inline void product_columns(const Piece& p, Index j, const double* w, const double* w_low,
                                                   const double* anchors, double* high, double* low) {
  LongSum a, b, c, d;
  begin_column(anchors[j], a);
  if (N > 1) begin_column(anchors[j + 1], b), begin_column(anchors[j + 2], c), begin_column(anchors[j + 3], d);
  const double* column = p.A + j * p.rows;
  for (Index i = 0; i < p.rows; i += 4, column += 4) {
    const Lanes v = lanes_at(w + i), u = lanes_at(w_low + i);
    add_terms(lanes_at(column), v, u, a);
    if (N > 1) {
      add_terms(lanes_at(column + p.rows), v, u, b);
      add_terms(lanes_at(column + 2 * p.rows), v, u, c);
      add_terms(lanes_at(column + 3 * p.rows), v, u, d);
    }
  }
  finish_column(a, anchors[j], high[j], low[j]);
  if (N > 1) {
    finish_column(b, anchors[j + 1], high[j + 1], low[j + 1]);
    finish_column(c, anchors[j + 2], high[j + 2], low[j + 2]);
    finish_column(d, anchors[j + 3], high[j + 3], low[j + 3]);
  }
}

[[gnu::always_inline]] inline void residual_piece(const Piece& p, const double* minus_x, const double* minus_low,
                                                  double anchor, double* high, double* low) {
  Lanes start;
  spread(anchor, start);
  Index i = 0;
  for (; i + 16 <= p.rows; i += 16) residual_rows<4>(p, i, minus_x, minus_low, start, high, low);
  for (; i < p.rows; i += 4) residual_rows<1>(p, i, minus_x, minus_low, start, high, low);
}

[[gnu::always_inline]] inline void product_piece(const Piece& p, const double* w, const double* w_low,
                                                 const double* anchors, double* high, double* low) {
  Index j = 0;
  for (; j + 4 <= p.n; j += 4) product_columns<4>(p, j, w, w_low, anchors, high, low);
  for (; j < p.n; ++j) product_columns<1>(p, j, w, w_low, anchors, high, low);
}

[[gnu::always_inline]] inline void subtract_piece(const Piece& p, const double* x, double* r) {
  for (Index j = 0; j < p.n; ++j) {
    const double* column = p.A + j * p.rows;
    for (Index i = 0; i < p.rows; i += 4) lanes_at(r + i) -= lanes_at(column + i) * x[j];
  }
}

struct Residual {
  Piece p;
  const double *minus_x, *minus_low;
  double anchor;
  double *high, *low;
  [[gnu::always_inline]] void operator()() const { residual_piece(p, minus_x, minus_low, anchor, high, low); }
};
struct Product {
  Piece p;
  const double *w, *w_low, *anchors;
  double *high, *low;
  [[gnu::always_inline]] void operator()() const { product_piece(p, w, w_low, anchors, high, low); }
};
struct Subtract {
  Piece p;
  const double* x;
  double* r;
  [[gnu::always_inline]] void operator()() const { subtract_piece(p, x, r); }
};

// Rows first, first + 1, ... of v, and zeros up to a multiple of four
void fetch(const Vector& v, Index first, Index rows, double* to) {
  std::copy(v.data() + first, v.data() + first + rows, to);
  for (Index i = rows; i % 4 != 0; ++i) to[i] = 0;
}

Index padded(Index rows) { return (rows + 3) / 4 * 4; }

}  // namespace

void PairVector::add(Index i, double step) {
  double more;
  two_sum(high[i], step, high[i], more);
  two_sum(high[i], low[i] + more, high[i], low[i]);
}

void LongResidual::begin(const StridedView& A, const Vector& scale, const Vector& lengths) {
  A_ = A.data();
  m_ = A.rows();
  n_ = A.cols();
  step_ = A.innerStride();
  stride_ = A.outerStride();
  scale_ = &scale;
  lengths_ = &lengths;
  // 4096 entries are 32 kB, the first level of cache; under 16 rows the work on sums of columns would show.
  rows_ = std::min(std::max<Index>(4096 / n_ / 16 * 16, 16), padded(m_));
  loaded_ = -1;
  if (piece_.size() < rows_ * n_ + line) piece_.resize(rows_ * n_ + line);
  if (work_.size() < 4 * rows_ + 3 * n_ + line) work_.resize(4 * rows_ + 3 * n_ + line);
}

void LongResidual::load(Index piece) {
  if (loaded_ == piece) return;
  const Index first = piece * rows_, rows = height(piece), all = padded(rows);
  copy_rows({A_, m_, n_, {stride_, step_}}, first, rows, align(piece_.data()), all);
  for (Index j = 0; j < n_; ++j) {
    double* column = align(piece_.data()) + j * all;
    const double s = scale_->size() > 0 ? (*scale_)[j] : 1.0;
    if (s != 1) {
      for (Index i = 0; i < rows; ++i) column[i] *= s;
    }
    std::fill(column + rows, column + all, 0.0);
  }
  loaded_ = piece;
}

void LongResidual::sweep(const PairVector& s, const PairVector& x, const PairVector* w, PairVector& r, PairVector& y) {
  double *high = align(work_.data()), *low = high + rows_, *w_high = low + rows_, *w_low = w_high + rows_;
  double *minus_x = w_low + rows_, *minus_low = minus_x + n_, *anchors = minus_low + n_, size = 0;
  for (Index i = 0; i < m_; ++i) size = std::max(size, std::abs(s.high[i]));
  for (Index j = 0; j < n_; ++j) {
    minus_x[j] = -x.high[j];
    minus_low[j] = -x.low[j];
    size += (*lengths_)[j] * std::abs(minus_x[j]);
  }
  y.set_zero(n_);
  for (Index piece = 0; piece * rows_ < m_; ++piece) {
    load(piece);
    const Index first = piece * rows_, rows = height(piece);
    const Piece p{align(piece_.data()), padded(rows), n_};
    fetch(s.high, first, rows, high);
    fetch(s.low, first, rows, low);
    run_widest(Residual{p, minus_x, minus_low, anchoring * size, high, low});
    if (w != nullptr) {
      fetch(w->high, first, rows, w_high);
      fetch(w->low, first, rows, w_low);
    }
    const double *v = w != nullptr ? w_high : high, *u = w != nullptr ? w_low : low;
    double square = 0;
    for (Index i = 0; i < rows; ++i) square += v[i] * v[i];
    const double length = std::sqrt(square);
    for (Index j = 0; j < n_; ++j) anchors[j] = anchoring * (*lengths_)[j] * length;
    run_widest(Product{p, v, u, anchors, y.high.data(), y.low.data()});
    std::copy(high, high + rows, r.high.data() + first);
    std::copy(low, low + rows, r.low.data() + first);
  }
  for (Index j = 0; j < n_; ++j) two_sum(y.high[j], y.low[j], y.high[j], y.low[j]);
}

void LongResidual::subtract(const Vector& x, Vector& r) {
  double* part = align(work_.data());
  for (Index piece = 0; piece * rows_ < m_; ++piece) {
    load(piece);
    const Index first = piece * rows_, rows = height(piece);
    fetch(r, first, rows, part);
    run_widest(Subtract{{align(piece_.data()), padded(rows), n_}, x.data(), part});
    std::copy(part, part + rows, r.data() + first);
  }
}

}  // namespace marquardt
