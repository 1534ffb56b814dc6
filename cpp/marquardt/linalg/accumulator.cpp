// Rows of [J r] reduced to n rows: Householder QR (triangle) or sums of products (Gram).
//
//   triangle:  [R z; J r] = Q [R+ z+; 0 rest]      one reflector per column, in place
//   gram:      H+ = H + J'J,  g+ = g + J'r
//
// References: Golub & Van Loan, Matrix Computations, 4th ed., 5.2.2 (Householder QR), 5.2.3 (block form);
// Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 19.4 (error is columnwise).
//
// Columns are scaled by powers of two only when their size is extreme. Reflectors do not change under such a
// scaling, so the result is the same to the last bit wherever both ways are safe.
#include "marquardt/linalg/accumulator.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cassert>
#include <cmath>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// Reflects the first `count` columns of A to upper triangular form and carries all columns of A along, one by one: a
// column is still in cache when its product with the reflector becomes its update. Measured 1.1 to 1.6 times faster
// than a matrix-vector product for all columns at once, from 20 to 20000 rows.
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

// Columns per panel, measured on 100 to 20000 rows: none up to 20 columns, then the taller the narrower.
Index panel_width(Index n) { return n <= 20 ? n : n <= 64 ? 8 : n <= 256 ? 16 : 48; }

// Up to this many entries (64 kB) blocking costs more than it saves.
constexpr Index small_matrix = 8192;

// QR of the first n columns of A (n + 1 columns). Eigen's block reflector allocates two panel-sized temporaries;
// a small or narrow matrix, which needs no blocks, allocates nothing.
template <typename Work>
void triangularise(Work& A, Index n, Vector& coefficients) {
  const Index rows = A.rows(), count = std::min(rows, n);
  const Index width = rows * (n + 1) <= small_matrix ? n : panel_width(n);
  if (width == n) {
    reflect(A, count, coefficients.data());
    return;
  }
  for (Index k = 0; k < count; k += width) {
    const Index w = std::min(width, count - k), right = n + 1 - k - w;
    auto panel = A.block(k, k, rows - k, w);
    auto panel_coefficients = coefficients.segment(k, w);
    reflect(panel, w, panel_coefficients.data());
    auto trailing = A.block(k, k + w, rows - k, right);
    Eigen::internal::apply_block_householder_on_the_left(trailing, panel, panel_coefficients, false);
  }
}

// Columns a multiple of 4 kB apart fall into the same sets of the cache; eight doubles more keep them apart.
Index leading_dimension(Index rows) {
  const Index aligned = (rows + 7) / 8 * 8;  // 64 bytes: a cache line
  return aligned % 512 == 0 ? aligned + 8 : aligned;
}

}  // namespace

Accumulator::Accumulator(Form form, Index n)
    : n_(n), coefficients_(n), scale_(Vector::Ones(n + 1)), norms_(Vector::Zero(n + 1)) {
  assert(n > 0);
  rows_.form = form;
  if (form == Form::triangle) {
    rows_.R.resize(n, n);
    rows_.z.resize(n);
    candidate_.resize(n, n + 1);
  } else {
    rows_.H.resize(n, n);
  }
  rows_.g.resize(n);
  rows_.column_norms.resize(n);
  clear();
}

void Accumulator::clear() {
  rows_.rows = 0;
  rows_.R.setZero();
  rows_.z.setZero();
  rows_.H.setZero();
  rows_.g.setZero();
  rows_.column_norms.setZero();
  rows_.rr = 0;
  rest_ = 0;
  current_ = true;
}

void Accumulator::add(const MatrixView& J, const VectorView& r) {
  assert(J.cols() == n_ && J.rows() == r.size());
  if (J.rows() == 0) return;
  const Index above = std::min(n_, rows_.rows);  // rows of R that are not zero
  rows_.rows += J.rows();
  if (form() == Form::triangle) {
    fold_triangle(J, r, above);
  } else {
    fold_gram(J, r);
  }
  current_ = false;
}

void Accumulator::merge(const Accumulator& other) {
  assert(other.form() == form() && other.n_ == n_);
  if (other.rows_.rows == 0) return;
  const Index above = std::min(n_, rows_.rows);
  rows_.rows += other.rows_.rows;
  if (form() == Form::triangle) {
    const double other_rest = other.rest_;  // read first: other may be *this
    fold_triangle(other.rows_.R, other.rows_.z, above);
    rest_ = std::hypot(rest_, other_rest);  // the other's last row is [0 rest]
    rows_.rr = rows_.z.squaredNorm() + rest_ * rest_;
  } else {
    rows_.H += other.rows_.H;
    rows_.g += other.rows_.g;
    rows_.rr += other.rows_.rr;
    for (Index j = 0; j < n_; ++j) {
      rows_.column_norms[j] = std::hypot(rows_.column_norms[j], other.rows_.column_norms[j]);
    }
  }
  current_ = false;
}

const Reduced& Accumulator::reduced() {
  if (!current_) {
    if (form() == Form::triangle) {
      rows_.g.noalias() = rows_.R.triangularView<Eigen::Upper>().transpose() * rows_.z;
    } else {
      rows_.H.triangularView<Eigen::StrictlyUpper>() = rows_.H.transpose();
    }
    current_ = true;
  }
  return rows_;
}

// [R z; J r] in the buffer, R with its first `above` rows. One copy of J, the only work of its size.
Accumulator::Work Accumulator::stack(const MatrixView& J, const VectorView& r, Index above) {
  const Index total = above + J.rows(), leading = leading_dimension(total);
  if (buffer_.size() < leading * (n_ + 1)) buffer_.resize(leading * (n_ + 1));
  Work work(buffer_.data(), total, n_ + 1, Eigen::OuterStride<>(leading));
  if (above > 0) {
    work.topLeftCorner(above, n_) = rows_.R.topRows(above);
    work.col(n_).head(above) = rows_.z.head(above);
  }
  work.bottomLeftCorner(J.rows(), n_) = J;
  work.col(n_).tail(J.rows()) = r;
  return work;
}

void Accumulator::fold_triangle(const MatrixView& J, const VectorView& r, Index above) {
  Work work = stack(J, r, above);
  scale_.setOnes();
  triangularise(work, n_, coefficients_);
  read_triangle(work);
  if (!trustworthy(J, r)) {  // rare: once more with every column brought to size 1
    Work again = stack(J, r, above);
    scale_columns(again);
    triangularise(again, n_, coefficients_);
    read_triangle(again);
  }
  rows_.R = candidate_.leftCols(n_);
  rows_.z = candidate_.col(n_);
  rows_.column_norms = norms_.head(n_);
  rest_ = std::hypot(rest_, candidate_rest_);
  rows_.rr = rows_.z.squaredNorm() + rest_ * rest_;
}

void Accumulator::scale_columns(Work& work) {
  for (Index j = 0; j <= n_; ++j) {
    scale_[j] = normaliser(work.col(j).cwiseAbs().maxCoeff(), 1000);
    work.col(j) *= scale_[j];
  }
}

// Takes [R z; 0 rest] and its column norms out of the reduced work, undoing the scaling of the columns.
void Accumulator::read_triangle(const Work& work) {
  const Index rows = work.rows();
  candidate_.setZero();
  for (Index j = 0; j <= n_; ++j) {
    const Index height = std::min({j + 1, n_, rows});
    candidate_.col(j).head(height) = work.col(j).head(height) / scale_[j];
    norms_[j] = safe_norm(work.col(j).head(height)) / scale_[j];
  }
  candidate_rest_ = rows > n_ ? safe_norm(work.col(n_).tail(rows - n_)) / scale_[n_] : 0;
  norms_[n_] = std::hypot(norms_[n_], candidate_rest_);
}

// Was every square harmless? Reflectors keep column norms, so n + 1 norms answer for all m rows.
bool Accumulator::trustworthy(const MatrixView& J, const VectorView& r) const {
  for (Index j = 0; j <= n_; ++j) {
    if (is_safe(norms_[j])) continue;
    const bool zero = norms_[j] == 0 && (j < n_ ? (J.col(j).array() == 0).all() && rows_.column_norms[j] == 0
                                                : (r.array() == 0).all() && (rows_.z.array() == 0).all());
    if (!zero) return false;
  }
  return true;
}

// The lower half of H, g and the column norms. A norm is sqrt(H_jj), a sum without cancellation, while that sum
// cannot have lost a term to overflow or underflow; otherwise it is built from the data, block by block.
void Accumulator::fold_gram(const MatrixView& J, const VectorView& r) {
  if (n_ <= 8) {  // products of columns: no packing, no temporaries
    for (Index j = 0; j < n_; ++j) {
      for (Index i = j; i < n_; ++i) rows_.H(i, j) += J.col(i).dot(J.col(j));
    }
  } else {
    rows_.H.selfadjointView<Eigen::Lower>().rankUpdate(J.transpose());
  }
  rows_.g.noalias() += J.transpose() * r;
  rows_.rr += r.squaredNorm();
  for (Index j = 0; j < n_; ++j) {
    const double norm = std::sqrt(rows_.H(j, j));
    rows_.column_norms[j] = is_safe(norm) ? norm : std::hypot(rows_.column_norms[j], J.col(j).stableNorm());
  }
}

}  // namespace marquardt
