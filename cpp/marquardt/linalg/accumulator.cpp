// Rows of [J r] reduced to n rows: Householder QR (triangle, fold.hpp) or sums of products (Gram, gram.hpp).
//
//   triangle:  [R z; J r] = Q [R+ z+; 0 rest]
//   gram:      H+ = H + J'J,  g+ = g + J'r
//
// References: Golub & Van Loan, Matrix Computations, 4th ed., 5.2.2 (Householder QR), 6.5.3 (rows added);
// Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 19.4 (error is columnwise);
// Demmel, Grigori, Hoemmen & Langou (2012), Communication-optimal parallel QR (rows reduced apart, then in pairs).
//
// Columns are scaled by powers of two only when their size is extreme. Reflectors do not change under such a
// scaling, so the result is the same to the last bit wherever both ways are safe.
#include "marquardt/linalg/accumulator.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <exception>
#include <functional>
#include <system_error>
#include <thread>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// Rows are split where they take over about 3 ms at 15 GFLOP/s, below which a second core, asleep until then, does not
// pay for being woken.
constexpr double worth_splitting = 45e6;

// A share has so many times n rows: what the triangles of the shares cost to bring together stays below a third.
constexpr Index least_share = 2;

// Runs work(0), ..., work(shares - 1), all but the first on threads of their own. Begun and ended here: 20 us beside
// 3 ms, and no thread outlives a call, sleeps in a forked process or belongs to nobody.
void run_shares(Index shares, const std::function<void(Index)>& work) {
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(shares));
  const auto guarded = [&](Index i) {
    try {
      work(i);
    } catch (...) {  // memory ran out: the caller's thread says so
      failures[static_cast<std::size_t>(i)] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(failures.size());
  for (Index i = 1; i < shares; ++i) {
    try {
      threads.emplace_back(guarded, i);
    } catch (const std::system_error&) {  // the system gives no more threads: the same work, here
      guarded(i);
    }
  }
  guarded(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

// work(i, k): bring share k into share i, in pairs whose order depends on their number alone.
template <typename Work>
void combine(Index shares, const Work& work) {
  for (Index apart = 1; apart < shares; apart *= 2) {
    for (Index i = 0; i + apart < shares; i += 2 * apart) work(i, i + apart);
  }
}

// Share i of the rows of M
StridedView share(const StridedView& M, Index i, Index shares) {
  const Index first = M.rows() * i / shares, last = M.rows() * (i + 1) / shares;
  return {M.data() + first * M.innerStride(), last - first, M.cols(), {M.outerStride(), M.innerStride()}};
}

StridedView as_column(const VectorView& r) { return {r.data(), r.size(), 1, {r.size(), 1}}; }

}  // namespace

void copy(const Reduced& from, Reduced& to) {
  to.form = from.form;
  to.rows = from.rows;
  if (from.form == Form::triangle) {
    to.R = from.R;
    to.z = from.z;
  } else {
    to.H = from.H;
  }
  to.g = from.g;
  to.column_norms = from.column_norms;
  to.rr = from.rr;
}

Accumulator::Accumulator(Form form, Index n, Index threads)
    : n_(n), threads_(threads), norms_(Vector::Zero(n + 1)), workers_(1) {
  assert(n > 0 && threads > 0);
  rows_.form = form;
  if (form == Form::triangle) {
    rows_.R.resize(n, n);
    rows_.z.resize(n);
  } else {
    rows_.H.resize(n, n);
    S_.resize(n + 1, n + 1);
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
  S_.setZero();
  rest_ = 0;
  current_ = true;
}

void Accumulator::add(const StridedView& J, const VectorView& r) {
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

const Reduced& Accumulator::reduce(const StridedView& J, const VectorView& r) {
  clear();
  add(J, r);
  return reduced();
}

void Accumulator::merge(const Accumulator& other) {
  assert(other.form() == form() && other.n_ == n_);
  if (other.rows_.rows == 0) return;
  const Index above = std::min(n_, rows_.rows), others = std::min(n_, other.rows_.rows);
  rows_.rows += other.rows_.rows;
  if (form() == Form::triangle) {
    const double other_rest = other.rest_;  // read first: other may be *this
    fold_triangle(strided(other.rows_.R.topRows(others)), other.rows_.z.head(others), above);
    rest_ = std::hypot(rest_, other_rest);  // the other's last row is [0 rest]
    rows_.rr = rows_.z.squaredNorm() + rest_ * rest_;
  } else {
    S_ += other.S_;
    for (Index j = 0; j < n_; ++j) {
      rows_.column_norms[j] = std::hypot(rows_.column_norms[j], other.rows_.column_norms[j]);
    }
  }
  current_ = false;
}

const Reduced& Accumulator::reduced() {
  if (current_) return rows_;
  if (form() == Form::triangle) {
    rows_.g.noalias() = rows_.R.triangularView<Eigen::Upper>().transpose() * rows_.z;
  } else {
    rows_.H.triangularView<Eigen::Lower>() = S_.topLeftCorner(n_, n_);
    rows_.H.triangularView<Eigen::StrictlyUpper>() = rows_.H.transpose();
    rows_.g = S_.row(n_).head(n_);
    rows_.rr = S_(n_, n_);
  }
  current_ = true;
  return rows_;
}

// Into how many shares the rows go, with a worker for each.
Index Accumulator::shares(Index rows) {
  if (threads_ == 1) return 1;
  const double columns = static_cast<double>(n_ + 1), sides = form() == Form::triangle ? 2 : 1;
  if (sides * static_cast<double>(rows) * columns * columns < worth_splitting) return 1;
  const Index count = std::clamp<Index>(rows / (least_share * n_), 1, threads_);
  if (static_cast<Index>(workers_.size()) < count) workers_.resize(static_cast<std::size_t>(count));
  return count;
}

void Accumulator::fold_triangle(const StridedView& J, const VectorView& r, Index above) {
  scale_.resize(0);
  r_scale_ = 1;
  fold_scaled(J, r, above);
  read_triangle();
  if (!trustworthy(J, r)) {  // rare: once more with every column brought to size 1
    scale_columns(J, r);
    fold_scaled(J, r, above);
    read_triangle();
  }
  rows_.R = workers_[0].tall.R();
  rows_.z = workers_[0].tall.Z().col(0) / r_scale_;
  if (scale_.size() > 0) rows_.R *= scale_.cwiseInverse().asDiagonal();
  rows_.column_norms = norms_.head(n_);
  rest_ = std::hypot(rest_, candidate_rest_);
  rows_.rr = rows_.z.squaredNorm() + rest_ * rest_;
}

// The columns of [R z; J r] times their scales, to the triangle of the first worker.
void Accumulator::fold_scaled(const StridedView& J, const VectorView& r, Index above) {
  const Index count = shares(J.rows());
  const StridedView right = as_column(r);
  for (Index i = 0; i < count; ++i) {
    TallFactor& tall = workers_[static_cast<std::size_t>(i)].tall;
    const Index own = i == 0 ? above : 0;
    if (scale_.size() == 0) {
      tall.begin(rows_.R.topRows(own), rows_.z.head(own));
    } else {
      tall.begin(rows_.R.topRows(own) * scale_.asDiagonal(), rows_.z.head(own) * r_scale_);
    }
  }
  const auto fold = [&](Index i) {
    workers_[static_cast<std::size_t>(i)].tall.add(share(J, i, count), scale_, share(right, i, count), r_scale_);
  };
  if (count == 1) return fold(0);
  run_shares(count, fold);
  combine(count, [this](Index i, Index k) {
    workers_[static_cast<std::size_t>(i)].tall.absorb(workers_[static_cast<std::size_t>(k)].tall);
  });
}

void Accumulator::scale_columns(const StridedView& J, const VectorView& r) {
  scale_.resize(n_);
  for (Index j = 0; j < n_; ++j) {
    scale_[j] = normaliser(std::max(J.col(j).cwiseAbs().maxCoeff(), rows_.R.col(j).cwiseAbs().maxCoeff()), 1000);
  }
  r_scale_ = normaliser(std::max(r.cwiseAbs().maxCoeff(), rows_.z.cwiseAbs().maxCoeff()), 1000);
}

// The norms of the columns of the new [R z; 0 rest], with the scaling of the columns undone.
void Accumulator::read_triangle() {
  const TallFactor& tall = workers_[0].tall;
  for (Index j = 0; j < n_; ++j) {
    const double norm = safe_norm(tall.R().col(j).head(j + 1));
    norms_[j] = scale_.size() > 0 ? norm / scale_[j] : norm;
  }
  candidate_rest_ = tall.rest(0) / r_scale_;
  norms_[n_] = std::hypot(safe_norm(tall.Z().col(0)) / r_scale_, candidate_rest_);
}

// Was every square harmless? Reflectors keep column norms, so n + 1 norms answer for all m rows.
bool Accumulator::trustworthy(const StridedView& J, const VectorView& r) const {
  for (Index j = 0; j <= n_; ++j) {
    if (is_safe(norms_[j])) continue;
    const bool zero = norms_[j] == 0 && (j < n_ ? (J.col(j).array() == 0).all() && rows_.column_norms[j] == 0
                                                : (r.array() == 0).all() && (rows_.z.array() == 0).all());
    if (!zero) return false;
  }
  return true;
}

// The lower half of S and the column norms. A norm is sqrt(S_jj), a sum without cancellation, while that sum
// cannot have lost a term to overflow or underflow; otherwise it is built from the data, block by block.
void Accumulator::fold_gram(const StridedView& J, const VectorView& r) {
  const Index count = shares(J.rows());
  if (count == 1) {
    workers_[0].gram.add(J, r, S_);
  } else {
    for (Worker& worker : workers_) worker.S.setZero(n_ + 1, n_ + 1);
    run_shares(count, [&](Index i) {
      Worker& worker = workers_[static_cast<std::size_t>(i)];
      const Index first = J.rows() * i / count, last = J.rows() * (i + 1) / count;
      worker.gram.add(share(J, i, count), r.segment(first, last - first), worker.S);
    });
    combine(count, [this](Index i, Index k) {
      workers_[static_cast<std::size_t>(i)].S += workers_[static_cast<std::size_t>(k)].S;
    });
    S_ += workers_[0].S;
  }
  for (Index j = 0; j < n_; ++j) {
    const double norm = std::sqrt(S_(j, j));
    rows_.column_norms[j] = is_safe(norm) ? norm : std::hypot(rows_.column_norms[j], J.col(j).stableNorm());
  }
}

}  // namespace marquardt
