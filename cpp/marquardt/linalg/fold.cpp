// QR of a tall matrix by blocks of rows, four reflectors at a time.
//
//   H_k = I - tau_k [e_k; v_k][e_k; v_k]'          H_1 H_2 H_3 H_4 = I - V T V',  T upper triangular
//   W = Vtop'C_top + V'C,  C -= V (T'W)            the update of all columns to the right
//
// The first n rows are not folded into a triangle of zeros, which takes half as much again and leaves rounding where
// fewer than n rows leave zeros: they are reduced in place, one reflector a column.
//
// Each pass over a column of C serves four reflectors, three columns share each load of V, and the sums stay in
// registers. Where the processor has AVX2 and FMA the same loops run twice as wide (lanes.hpp).
// References: Schreiber & Van Loan (1989), A storage-efficient WY representation; Golub & Van Loan, 4th ed., 5.1.7.
#include "marquardt/linalg/fold.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>

#include "marquardt/linalg/lanes.hpp"

namespace marquardt {
namespace {

constexpr int wide = 4;  // reflectors applied at once: the sums with three columns and 4 operands fill 16 registers

// W (P x Q) = V'C for P columns of V and Q of C, all `rows` long and spaced `rows` apart.
template <int P, int Q>
[[gnu::always_inline]] inline void products(const double* V, const double* C, Index rows, double* W) {
  Lanes sum[P * Q] = {};
  for (Index i = 0; i < rows; i += 4) {
    for (int q = 0; q < Q; ++q) {
      const Lanes c = lanes_at(C + q * rows + i);
      for (int p = 0; p < P; ++p) sum[p + P * q] += lanes_at(V + p * rows + i) * c;
    }
  }
  for (int s = 0; s < P * Q; ++s) W[s] = sum_of(sum[s]);
}

// C -= V W
template <int P, int Q>
[[gnu::always_inline]] inline void subtract(const double* V, const double* W, Index rows, double* C) {
  double w[P * Q];  // a copy nobody else can see stays in registers
  for (int s = 0; s < P * Q; ++s) w[s] = W[s];
  for (Index i = 0; i < rows; i += 4) {
    for (int q = 0; q < Q; ++q) {
      Lanes c = lanes_at(C + q * rows + i);
      for (int p = 0; p < P; ++p) c -= lanes_at(V + p * rows + i) * w[p + P * q];
      lanes_at(C + q * rows + i) = c;
    }
  }
}

// W = T'W or T W, T upper triangular of size P with columns 4 apart
template <int P>
[[gnu::always_inline]] inline void times_T(const double* T, bool transposed, double* W) {
  double out[P];
  for (int i = 0; i < P; ++i) {
    double sum = 0;
    for (int j = 0; j < P; ++j) {
      if (transposed ? j <= i : j >= i) sum += (transposed ? T[j + wide * i] : T[i + wide * j]) * W[j];
    }
    out[i] = sum;
  }
  for (int i = 0; i < P; ++i) W[i] = out[i];
}

// The reflectors of the P columns of a panel, and its T. `top` is the panel's part of R, on its diagonal.
// The products of a column with all others of the panel, taken once before it is scaled, serve its own length, the
// entries of T and the update.
template <int P>
[[gnu::always_inline]] inline void factor_panel(double* V, Index rows, double* top, double* T) {
  for (int j = 0; j < P; ++j) {
    double* v = V + j * rows;
    double dots[P];
    products<P, 1>(V, v, rows, dots);
    double tau = 0, shrink = 0;
    if (dots[j] != 0) {  // NaN goes on into R, to be seen there
      const double alpha = top[j + j * wide], beta = -std::copysign(std::sqrt(alpha * alpha + dots[j]), alpha);
      tau = (beta - alpha) / beta;
      shrink = 1 / (alpha - beta);
      top[j + j * wide] = beta;
    }
    for (Index i = 0; i < rows; ++i) v[i] *= shrink;
    for (int c = j + 1; c < P; ++c) {
      const double w = tau * (top[j + c * wide] + shrink * dots[c]);
      top[j + c * wide] -= w;
      subtract<1, 1>(v, &w, rows, V + c * rows);
    }
    for (int i = 0; i < j; ++i) {
      double sum = 0;
      for (int l = i; l < j; ++l) sum += T[i + wide * l] * shrink * dots[l];
      T[i + wide * j] = -tau * sum;
    }
    T[j + wide * j] = tau;
    for (int i = j + 1; i < wide; ++i) T[i + wide * j] = 0;
  }
}

// Q columns to the right of a panel
template <int P, int Q>
[[gnu::always_inline]] inline void update(const double* V, Index rows, const double* T, double* top, double* C) {
  double W[P * Q];
  products<P, Q>(V, C, rows, W);
  for (int q = 0; q < Q; ++q) {
    for (int p = 0; p < P; ++p) W[p + P * q] += top[p + q * wide];
    times_T<P>(T, true, W + P * q);
    for (int p = 0; p < P; ++p) top[p + q * wide] -= W[p + P * q];
  }
  subtract<P, Q>(V, W, rows, C);
}

template <int P>
[[gnu::always_inline]] inline void fold_panel(double* V, Index rows, Index right, double* top, double* T) {
  factor_panel<P>(V, rows, top, T);
  bool idle = true;  // columns of zeros, as in the rows of a triangle: nothing changes to their right
  for (int j = 0; j < P; ++j) idle = idle && T[j + wide * j] == 0;
  if (idle) return;
  double* C = V + P * rows;
  top += P * wide;
  for (; right >= 3; right -= 3, C += 3 * rows, top += 3 * wide) update<P, 3>(V, rows, T, top, C);
  if (right == 2) {
    update<P, 2>(V, rows, T, top, C);
  } else if (right == 1) {
    update<P, 1>(V, rows, T, top, C);
  }
}

template <int P>
[[gnu::always_inline]] inline void apply_panel(const double* V, Index rows, const double* T, bool transposed,
                                               double* top, double* below) {
  double W[P];
  products<P, 1>(V, below, rows, W);
  for (int p = 0; p < P; ++p) W[p] += top[p];
  times_T<P>(T, transposed, W);
  for (int p = 0; p < P; ++p) top[p] -= W[p];
  subtract<P, 1>(V, W, rows, below);
}

struct Shape {
  Index rows, n, all;  // of a block; columns to reduce; columns
};

[[gnu::always_inline]] inline void fold_block(double* B, double* T, double* above, const Shape& s) {
  for (Index k = 0; k < s.n; k += wide) {
    double *V = B + k * s.rows, *top = above + k * s.all + wide * k, *t = T + wide * k;
    const Index left = s.all - k;
    if (s.n - k >= 4) {
      fold_panel<4>(V, s.rows, left - 4, top, t);
    } else if (s.n - k == 3) {
      fold_panel<3>(V, s.rows, left - 3, top, t);
    } else if (s.n - k == 2) {
      fold_panel<2>(V, s.rows, left - 2, top, t);
    } else {
      fold_panel<1>(V, s.rows, left - 1, top, t);
    }
  }
}

[[gnu::always_inline]] inline void apply_block(const double* B, const double* T, bool transposed, const Shape& s,
                                               double* top, double* below) {
  const Index panels = (s.n + wide - 1) / wide;
  for (Index i = 0; i < panels; ++i) {
    const Index k = wide * (transposed ? i : panels - 1 - i);
    const double *V = B + k * s.rows, *t = T + wide * k;
    if (s.n - k >= 4) {
      apply_panel<4>(V, s.rows, t, transposed, top + k, below);
    } else if (s.n - k == 3) {
      apply_panel<3>(V, s.rows, t, transposed, top + k, below);
    } else if (s.n - k == 2) {
      apply_panel<2>(V, s.rows, t, transposed, top + k, below);
    } else {
      apply_panel<1>(V, s.rows, t, transposed, top + k, below);
    }
  }
}

struct Fold {
  double *B, *T, *above;
  Shape s;
  [[gnu::always_inline]] void operator()() const { fold_block(B, T, above, s); }
};
struct Apply {
  const double *B, *T;
  bool transposed;
  Shape s;
  double *top, *below;
  [[gnu::always_inline]] void operator()() const { apply_block(B, T, transposed, s, top, below); }
};

// Reflects the first `count` columns of A to upper triangular form and carries all columns of A along, one by one: a
// column is still in cache when its product with the reflector becomes its update.
template <typename Block>
void reflect(Block& A, Index count, double* coefficients) {
  const Index rows = A.rows(), cols = A.cols();
  for (Index k = 0; k < count; ++k) {
    double beta;
    auto column = A.col(k).tail(rows - k);
    column.makeHouseholderInPlace(coefficients[k], beta);
    A.coeffRef(k, k) = beta;
    const double tau = coefficients[k];
    if (tau == 0) continue;
    const auto tail = A.col(k).tail(rows - k - 1);
    for (Index j = k + 1; j < cols; ++j) {
      auto target = A.col(j).tail(rows - k - 1);
      const double s = tau * (A.coeff(k, j) + tail.dot(target));
      A.coeffRef(k, j) -= s;
      target -= s * tail;
    }
  }
}

// QR in place of the first n columns of A. Panels of 8 columns up to n = 64, of 16 up
// to 256, else of 48, were measured to be the best widths; up to this many entries (64 kB) none are better still, and
// that takes no memory, while Eigen's block reflector allocates two temporaries of the size of a panel.
constexpr Index without_panels = 8192;

// Up to this many entries, about 200 rows of 4, all rows are reduced in place: laying out a block costs more than its
// wider loops save.
constexpr Index worth_folding = 800;

template <typename Rows>
void reduce_in_place(Rows& A, Index n, Vector& coefficients) {
  const Index rows = A.rows(), count = std::min(rows, n);
  const Index width = A.size() <= without_panels ? n : n <= 64 ? 8 : n <= 256 ? 16 : 48;
  for (Index k = 0; k < count; k += width) {
    const Index w = std::min(width, count - k), right = A.cols() - k - w;
    if (w == count) return reflect(A, count, coefficients.data());
    auto panel = A.block(k, k, rows - k, w);
    auto panel_coefficients = coefficients.segment(k, w);
    reflect(panel, w, panel_coefficients.data());
    auto trailing = A.block(k, k + w, rows - k, right);
    Eigen::internal::apply_block_householder_on_the_left(trailing, panel, panel_coefficients, false);
  }
}

// Rows of a block: about 32 kB, the first level of cache, but no fewer than 256, below which the work on R itself
// shows; an odd multiple of 4, so that columns do not fall into the same sets of the cache.
Index block_height(Index m, Index columns) {
  const Index fitting = std::clamp<Index>(4096 / columns, 256, 512) / 8 * 8 + 4;
  return std::clamp<Index>((m + 3) / 4 * 4, 4, fitting);
}

}  // namespace

void copy_rows(const StridedView& M, Index first, Index rows, double* to, Index height) {
  const Index step = M.innerStride(), stride = M.outerStride();
  const double* from = M.data() + first * step;
  if (std::abs(stride) >= std::abs(step)) {
    for (Index j = 0; j < M.cols(); ++j) {
      for (Index i = 0; i < rows; ++i) to[j * height + i] = from[i * step + j * stride];
    }
    return;
  }
  Index i = 0;
  for (; i + 4 <= rows; i += 4) {  // four rows side by side fill half a line of each column
    const double* row = from + i * step;
    for (Index j = 0; j < M.cols(); ++j, row += stride) {
      lanes_at(to + j * height + i) = Lanes{row[0], row[step], row[2 * step], row[3 * step]};
    }
  }
  for (; i < rows; ++i) {
    for (Index j = 0; j < M.cols(); ++j) to[j * height + i] = from[i * step + j * stride];
  }
}

void TallFactor::lay_out(Index m, Index n, Index k, bool keep) {
  const Index height = block_height(m, n + k), count = (m + height - 1) / height;
  n_ = n;
  k_ = k;
  kept_ = keep;
  padded_ = m == 0 ? 0 : (count - 1) * height + (m - (count - 1) * height + 3) / 4 * 4;
  const Index size = height * (n + k) + wide * n, needed = (keep ? count : 1) * size;
  if (storage_.size() < needed + line) storage_.resize(needed + line);
  blocks_.clear();
  for (Index i = 0; i < count; ++i) {
    double* start = align(storage_.data()) + (keep ? i * size : 0);
    const Index rows = std::min(height, padded_ - i * height);
    blocks_.push_back({start, start + rows * (n + k), rows});
  }
  rest_.setZero(k);
}

void TallFactor::factor(const StridedView& M, const Vector& scale, const StridedView& F, double factor, bool keep) {
  lay_out(M.rows(), M.cols(), F.cols(), keep);
  above_.setZero((n_ + wide - 1) / wide * wide * (n_ + k_));
  Index first = 0;
  for (const Block& block : blocks_) {
    fold(block, M, scale, F, factor, first);
    first += block.height;
  }
  seen_ = std::min(M.rows(), n_);
  unpack();
}

// Rows first, first + 1, ... of [M diag(scale), F factor], as many as the block holds; if they are fewer, zeros follow.
void TallFactor::fold(const Block& block, const StridedView& M, const Vector& scale, const StridedView& F,
                      double factor, Index first) {
  const Index rows = std::min(block.height, M.rows() - first);
  copy_rows(M, first, rows, block.rows, block.height);
  copy_rows(F, first, rows, block.rows + n_ * block.height, block.height);
  for (Index j = 0; j < n_ + k_; ++j) {
    double* column = block.rows + j * block.height;
    const double s = j >= n_ ? factor : scale.size() > 0 ? scale[j] : 1.0;
    if (s != 1) {
      for (Index i = 0; i < rows; ++i) column[i] *= s;
    }
    std::fill(column + rows, column + block.height, 0.0);
  }
  run_widest(Fold{block.rows, block.T, above_.data(), Shape{block.height, n_, n_ + k_}});
  for (Index j = 0; j < k_; ++j) {
    const double* y = block.rows + (n_ + j) * block.height;
    for (Index i = 0; i < block.height; ++i) rest_[j] += y[i] * y[i];
  }
}

void TallFactor::begin(const MatrixView& R, const MatrixView& Z) {
  assert(R.rows() == Z.rows() && R.rows() <= R.cols());
  n_ = R.cols();
  k_ = Z.cols();
  seen_ = R.rows();
  kept_ = false;
  R_.resize(n_, n_);
  Z_.resize(n_, k_);
  R_.topRows(seen_) = R;
  Z_.topRows(seen_) = Z;
  R_.bottomRows(n_ - seen_).setZero();
  Z_.bottomRows(n_ - seen_).setZero();
  rest_.setZero(k_);
}

void TallFactor::add(const StridedView& M, const Vector& scale, const StridedView& F, double factor) {
  const Index m = M.rows();
  assert(M.cols() == n_ && F.cols() == k_ && F.rows() == m);
  const bool few = (seen_ + m) * (n_ + k_) <= worth_folding;
  Index first = few ? m : std::min(m, n_ - seen_);
  if (first > 0) start(M, scale, F, factor, first);
  if (first == m) return;
  const Index height = block_height(m - first, n_ + k_), size = height * (n_ + k_) + wide * n_;
  if (storage_.size() < size + line) storage_.resize(size + line);
  pack();
  for (double* rows = align(storage_.data()); first < m; first += height) {
    const Index own = std::min(height, (m - first + 3) / 4 * 4);
    fold({rows, rows + own * (n_ + k_), own}, M, scale, F, factor, first);
  }
  unpack();
}

// The first rows of M, `taken` of them, with those seen before.
void TallFactor::start(const StridedView& M, const Vector& scale, const StridedView& F, double factor, Index taken) {
  const Index all = seen_ + taken, kept = std::min(all, n_);
  if (head_.rows() < all || head_.cols() != n_ + k_) head_.resize(std::max(all, n_), n_ + k_);
  if (coefficients_.size() != n_) coefficients_.resize(n_);
  auto head = head_.topRows(all);
  head.topLeftCorner(seen_, n_) = R_.topRows(seen_);
  head.topRightCorner(seen_, k_) = Z_.topRows(seen_);
  head.bottomLeftCorner(taken, n_) = M.topRows(taken);
  if (scale.size() > 0) head.bottomLeftCorner(taken, n_) *= scale.asDiagonal();
  head.bottomRightCorner(taken, k_) = factor * F.topRows(taken);
  reduce_in_place(head, n_, coefficients_);
  for (Index j = 0; j < n_; ++j) {
    const Index height = std::min(j + 1, kept);
    R_.col(j).head(height) = head.col(j).head(height);
  }
  Z_.topRows(kept) = head.topRightCorner(kept, k_);
  for (Index c = 0; c < k_; ++c) rest_[c] += head.col(n_ + c).tail(all - kept).squaredNorm();
  seen_ = kept;
}

void TallFactor::absorb(const TallFactor& other) {
  assert(other.n_ == n_ && other.k_ == k_);
  add(strided(other.R_.topRows(other.seen_)), Vector(), strided(other.Z_.topRows(other.seen_)), 1);
  rest_ += other.rest_;
}

// Four rows of [R Z] lie together while rows arrive, so that a panel walks through memory in order.
void TallFactor::pack() {
  above_.setZero((n_ + wide - 1) / wide * wide * (n_ + k_));
  for (Index i = 0; i < n_; ++i) {
    double* row = above_.data() + i / wide * wide * (n_ + k_) + i % wide;
    for (Index j = i; j < n_; ++j) row[wide * j] = R_(i, j);
    for (Index j = 0; j < k_; ++j) row[wide * (n_ + j)] = Z_(i, j);
  }
}

void TallFactor::unpack() {
  R_.setZero(n_, n_);
  Z_.resize(n_, k_);
  for (Index i = 0; i < n_; ++i) {
    const double* row = above_.data() + i / wide * wide * (n_ + k_) + i % wide;
    for (Index j = i; j < n_; ++j) R_(i, j) = row[wide * j];
    for (Index j = 0; j < k_; ++j) Z_(i, j) = row[wide * (n_ + j)];
  }
}

void TallFactor::apply_transposed(double* top, double* below) const {
  assert(kept_);
  for (const Block& block : blocks_) {
    const Shape shape{block.height, n_, n_ + k_};
    run_widest(Apply{block.rows, block.T, true, shape, top, below});
    below += block.height;
  }
}

void TallFactor::apply(double* top, double* below) const {
  assert(kept_);
  below += padded_;
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    const Shape shape{block->height, n_, n_ + k_};
    below -= block->height;
    run_widest(Apply{block->rows, block->T, false, shape, top, below});
  }
}

}  // namespace marquardt
