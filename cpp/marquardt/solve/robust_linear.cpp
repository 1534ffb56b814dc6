// Both fits work on an orthonormal basis Q of A's columns: A P = Q [R S], v = [R S] P'x, r = b - Q v. However ill
// conditioned A is, v is not; the shortest x of a v ends the work.
//
//   least absolute   a vertex interpolates the rows of a basis set: Q_B v = b_B, with Q_B' y_B = -sum_N sign(r_i) q_i.
//                    It is optimal when |y_B| <= 1. Otherwise the row whose multiplier is largest leaves, v moves along
//                    that edge past every kink at which the sum still falls, and the row of the last kink enters
//                    (Barrodale & Roberts). Where many residuals are zero at once steps may have length zero; b is
//                    then perturbed until they have not, and the basis found is proved on b itself.
//   robust losses    Newton, Q' diag(psi') Q d = Q' psi, with psi' kept above a fraction of the weight psi / u where
//                    the Hessian is not definite, and the reweighted step (psi' -> psi / u), which always descends
//                    (Huber & Ronchetti, 7.8), where Newton's does not. The losses are those of problem/loss.
#include "marquardt/solve/robust_linear.hpp"

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <Eigen/QR>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// What counts as rounding in a proof: sums of thousands of terms, and a basis that may be badly conditioned.
constexpr double proof_level = 1e-10;

// ------------------------------------------------------------------------------------------------ coordinates

struct Coordinates {
  Coordinates(const MatrixView& A, const VectorView& b);
  Vector shortest(const Vector& v) const;  // x of least norm with A x = Q v beta
  Vector from(const VectorView& x) const;  // its v

  Index rank() const { return Q.cols(); }

  Matrix Q, T;  // m x k orthonormal; k x n with A = Q T diag(units)
  Vector units, c;
  double beta = 1;
};

Coordinates::Coordinates(const MatrixView& A, const VectorView& b) : units(A.cols()) {
  Matrix S = A;
  for (Index j = 0; j < S.cols(); ++j) {
    const double scale = normaliser(safe_norm(S.col(j)), 1000);
    S.col(j) *= scale;
    units[j] = 1 / scale;
  }
  beta = 1 / normaliser(b.cwiseAbs().maxCoeff(), 1000);
  c = b / beta;
  Eigen::ColPivHouseholderQR<Matrix> qr(S.rows(), S.cols());
  qr.setThreshold(static_cast<double>(std::max(S.rows(), S.cols())) * epsilon);
  qr.compute(S);
  const Index k = qr.rank();
  Q = qr.householderQ() * Matrix::Identity(S.rows(), k);
  T = Matrix(qr.matrixQR().topRows(k).triangularView<Eigen::Upper>()) * qr.colsPermutation().transpose();
}

Vector Coordinates::shortest(const Vector& v) const {
  if (rank() == 0) return Vector::Zero(units.size());
  const double largest = units.maxCoeff();
  const Matrix scaled = T * (units / largest).asDiagonal();
  const Vector y = rank() == units.size() ? Vector(Eigen::ColPivHouseholderQR<Matrix>(T).solve(v))
                                          : Vector(Eigen::CompleteOrthogonalDecomposition<Matrix>(scaled).solve(v));
  if (rank() == units.size()) return y.cwiseProduct(beta * units.cwiseInverse());
  return y * (beta / largest);
}

Vector Coordinates::from(const VectorView& x) const { return T * x.cwiseProduct(units) / beta; }

// ---------------------------------------------------------------------------------------------- least absolute

class Vertex {
 public:
  explicit Vertex(const Coordinates& at) : at_(at), c_(at.c), basis_(), in_basis_(at.Q.rows(), 0) {
    lengths_ = at.Q.rowwise().norm();
    s_.setOnes(at.Q.rows());
    choose_basis();
    refresh();
  }

  bool descend(int limit);
  void fill(LeastAbsolute& fit);
  int exchanges() const { return exchanges_; }
  const Vector& v() const { return v_; }
  Vector dual() const;

 private:
  void choose_basis();
  void refresh();
  bool walk(int& limit);
  double edge(Index i, Vector& d, Vector& slopes);
  void exchange(Index i, Index row, double t, const Vector& d, const Vector& slopes, double sign);
  Index row(Index i) const { return basis_[static_cast<std::size_t>(i)]; }

  struct Kink {
    double t;
    Index row;
    bool operator<(const Kink& other) const { return t > other.t; }  // a heap's top is the nearest
  };

  const Coordinates& at_;
  Vector c_;  // b in its units, perturbed at times
  std::vector<Index> basis_;
  std::vector<char> in_basis_;
  Vector lengths_, v_, r_, s_, h_, y_;  // s: signs of r, kept where r is zero; h = -sum_N s_i q_i
  Matrix inverse_;                      // of Q_B
  int exchanges_ = 0, flat_ = 0;
};

// The rows that least squares fits best, as far as they are independent; the threshold falls until there are enough.
void Vertex::choose_basis() {
  const Index m = at_.Q.rows(), k = at_.rank();
  const Vector r = c_ - at_.Q * (at_.Q.transpose() * c_);
  std::vector<Index> order(static_cast<std::size_t>(m));
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), [&r](Index a, Index b) { return std::abs(r[a]) < std::abs(r[b]); });
  Matrix found(k, k);  // orthonormal, a column per chosen row
  for (double threshold = 0.1; static_cast<Index>(basis_.size()) < k; threshold *= 0.1) {
    for (const Index i : order) {
      const Index p = static_cast<Index>(basis_.size());
      if (p == k) break;
      if (in_basis_[static_cast<std::size_t>(i)] || lengths_[i] == 0) continue;
      Vector q = at_.Q.row(i).transpose() / lengths_[i];
      for (int twice = 0; twice < 2; ++twice) q -= found.leftCols(p) * (found.leftCols(p).transpose() * q);
      if (!(q.norm() > threshold)) continue;
      found.col(p) = q.normalized();
      basis_.push_back(i);
      in_basis_[static_cast<std::size_t>(i)] = 1;
    }
  }
}

// Everything afresh from the basis set.
void Vertex::refresh() {
  const Index m = at_.Q.rows(), k = at_.rank();
  Matrix B(k, k);
  Vector right(k);
  for (Index i = 0; i < k; ++i) {
    B.row(i) = at_.Q.row(row(i));
    right[i] = c_[row(i)];
  }
  const Eigen::PartialPivLU<Matrix> lu(B);
  v_ = lu.solve(right);
  v_ += lu.solve(right - B * v_);
  inverse_ = lu.inverse();
  r_ = c_ - at_.Q * v_;
  const double size = v_.norm(), noise = 16 * static_cast<double>(k) * epsilon;
  h_.setZero(k);
  for (Index i = 0; i < m; ++i) {
    if (in_basis_[static_cast<std::size_t>(i)] || std::abs(r_[i]) <= noise * (std::abs(c_[i]) + lengths_[i] * size)) {
      r_[i] = 0;
    } else {
      s_[i] = r_[i] > 0 ? 1 : -1;
    }
    if (!in_basis_[static_cast<std::size_t>(i)]) h_ -= s_[i] * at_.Q.row(i).transpose();
  }
}

// The direction in which basis row i leaves, its residual growing by 1 with the sign of its multiplier.
double Vertex::edge(Index i, Vector& d, Vector& slopes) {
  const double sign = y_[i] > 0 ? 1 : -1;
  d = -sign * inverse_.col(i);
  slopes.noalias() = at_.Q * d;
  return sign;
}

// From vertex to vertex until the multipliers are at most 1. True if they are.
bool Vertex::walk(int& limit) {
  constexpr int lifetime = 30;  // exchanges between two fresh starts of the inverse
  const double least = 1e-12 * static_cast<double>(std::max<Index>(at_.rank(), 1));
  Vector d, slopes;
  std::vector<Kink> kinks;
  for (int age = 0;; ++age) {
    if (age == lifetime) {
      refresh();
      age = 0;
    }
    y_ = inverse_.transpose() * h_;
    Index leaving;
    if (at_.rank() == 0 || !(y_.cwiseAbs().maxCoeff(&leaving) > 1 + least)) return true;
    if (limit-- <= 0 || flat_ > 2 * static_cast<int>(at_.rank()) + 20) return false;
    const double sign = edge(leaving, d, slopes), noise = 16 * epsilon * d.norm();
    kinks.clear();
    for (Index j = 0; j < slopes.size(); ++j) {
      if (in_basis_[static_cast<std::size_t>(j)] || !(s_[j] * slopes[j] > noise * lengths_[j])) continue;
      kinks.push_back({std::abs(r_[j] / slopes[j]), j});
    }
    std::make_heap(kinks.begin(), kinks.end());
    double slope = 1 - std::abs(y_[leaving]);
    for (;;) {
      if (kinks.empty()) return false;  // only rounding makes the sum fall without end
      const Kink next = kinks.front();
      slope += 2 * std::abs(slopes[next.row]);
      if (slope >= 0) {
        exchange(leaving, next.row, next.t, d, slopes, sign);
        break;
      }
      h_ += 2 * s_[next.row] * at_.Q.row(next.row).transpose();  // its residual changes sign
      s_[next.row] = -s_[next.row];
      std::pop_heap(kinks.begin(), kinks.end());
      kinks.pop_back();
    }
  }
}

// Basis place i is taken over by `entering`.
void Vertex::exchange(Index i, Index entering, double t, const Vector& d, const Vector& slopes, double sign) {
  const Index leaving = row(i);
  v_ += t * d;
  r_ -= t * slopes;
  for (const Index j : basis_) r_[j] = 0;
  r_[leaving] = sign * t;
  r_[entering] = 0;
  h_ += s_[entering] * at_.Q.row(entering).transpose();
  h_ -= sign * at_.Q.row(leaving).transpose();
  s_[leaving] = sign;
  const Vector image = inverse_.transpose() * at_.Q.row(entering).transpose();
  inverse_.col(i) /= image[i];
  for (Index l = 0; l < image.size(); ++l) {
    if (l != i) inverse_.col(l) -= image[l] * inverse_.col(i);
  }
  basis_[static_cast<std::size_t>(i)] = entering;
  in_basis_[static_cast<std::size_t>(leaving)] = 0;
  in_basis_[static_cast<std::size_t>(entering)] = 1;
  ++exchanges_;
  flat_ = t > 0 ? 0 : flat_ + 1;
}

// False if the limit was reached or rounding stands in the way.
bool Vertex::descend(int limit) {
  std::uint64_t state = 1;  // of a generator of its own: the same fit gives the same bits
  for (double size = 1e-7; size > 1e-11; size *= 0.1) {
    const bool done = walk(limit);
    refresh();
    y_ = inverse_.transpose() * h_;
    if (done || limit <= 0) return done;
    for (Index i = 0; i < c_.size(); ++i) {  // Knuth's multiplier; the upper bits are the random ones
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const double uniform = static_cast<double>(state >> 11) * 0x1p-53;
      c_[i] += size * (0.5 + uniform) * ((state >> 10) % 2 == 0 ? 1 : -1);  // |c| is at most 1
    }
    flat_ = 0;
    refresh();
    walk(limit);
    c_ = at_.c;
    flat_ = 0;
    refresh();  // zero residuals keep the signs they had
  }
  const bool done = walk(limit);
  refresh();
  y_ = inverse_.transpose() * h_;
  return done;
}

Vector Vertex::dual() const {
  Vector y = s_;
  for (Index i = 0; i < at_.rank(); ++i) y[row(i)] = y_[i];
  return y;
}

// An edge along which the sum stays the same: its multiplier is 1 in size, and it has a length.
void Vertex::fill(LeastAbsolute& fit) {
  fit.unique = at_.rank() == at_.units.size();
  Vector d, slopes, best;
  double longest = 0;
  for (Index i = 0; i < at_.rank(); ++i) {
    if (std::abs(y_[i]) < 1 - proof_level) continue;
    fit.unique = false;  // until proven: with zero residuals about, an edge may have no length
    edge(i, d, slopes);
    double t = infinity;
    for (Index j = 0; j < slopes.size(); ++j) {
      const bool shrinks = s_[j] * slopes[j] > 16 * epsilon * d.norm() * lengths_[j];
      if (!in_basis_[static_cast<std::size_t>(j)] && shrinks) t = std::min(t, std::abs(r_[j] / slopes[j]));
    }
    if (std::isfinite(t) && t * d.norm() > longest) {
      longest = t * d.norm();
      best = t * d;
    }
  }
  if (longest > proof_level) fit.direction = at_.shortest(best);
}

// ------------------------------------------------------------------------------------------------- robust losses

class Descent {
 public:
  Descent(const Coordinates& at, RobustLoss loss, double c) : at_(at), loss_(loss), c_(c) {}

  void put(const Vector& v) {
    v_ = v;
    const Vector fitted = at_.Q * v, u = (at_.c - fitted) / c_;
    psi_.resize(u.size());
    slope_.resize(u.size());
    weight_.resize(u.size());
    cost_ = 0;
    for (Index i = 0; i < u.size(); ++i) {
      const LossAt l = loss_at(loss_, std::abs(u[i]));
      cost_ += 0.5 * l.rho;
      psi_[i] = std::copysign(l.psi, u[i]);
      slope_[i] = l.slope;
      weight_[i] = l.weight;
    }
    g_ = at_.Q.transpose() * psi_;
    const Vector parts =
        weight_.cwiseProduct(at_.c.cwiseAbs() + fitted.cwiseAbs()) / c_;  // what psi is a difference of
    const Vector terms = at_.Q.cwiseAbs().transpose() * psi_.cwiseAbs();
    const Vector noise = 16 * epsilon * (at_.Q.cwiseAbs().transpose() * parts);
    stationarity_ = 0;
    for (Index j = 0; j < g_.size(); ++j) {
      const double beyond = std::abs(g_[j]) - noise[j];
      if (beyond > 0) stationarity_ = std::max(stationarity_, beyond / terms[j]);
    }
  }

  bool improve();
  bool curved() const { return positive(slope_).info() == Eigen::Success; }

  Vector v_, psi_, slope_, weight_, g_;
  double cost_ = 0, stationarity_ = infinity;

 private:
  // Q' diag(w) Q, and its Cholesky factor if that is definite beyond rounding: Q'Q = I, so 1 is its natural size.
  Eigen::LLT<Matrix> positive(const Vector& w) const {
    const Matrix H = at_.Q.transpose() * w.asDiagonal() * at_.Q;
    const double least = 1e-10 * std::max(w.cwiseAbs().maxCoeff(), 0.0);
    return Eigen::LLT<Matrix>(H - least * Matrix::Identity(H.rows(), H.cols()));
  }
  bool along(const Vector& w);

  const Coordinates& at_;
  RobustLoss loss_;
  double c_;
};

// A step with the curvature w, halved until the cost falls. False if w is no curvature, or the cost does not fall.
bool Descent::along(const Vector& w) {
  const Eigen::LLT<Matrix> llt = positive(w);
  if (llt.info() != Eigen::Success) return false;
  const Vector d = llt.solve(g_) * c_;
  if (!d.allFinite()) return false;
  const Vector v = v_, g = g_;
  const double cost = cost_, stationarity = stationarity_;
  double t = 1;
  for (int halving = 0; halving < 30; ++halving, t /= 2) {  // 2^-30 of a step that should fit is no step
    put(v + t * d);
    const double fall = cost - cost_, noise = 8 * epsilon * cost;
    const double expected = t * d.dot(g) / c_;  // to first order; a ten-thousandth of it is asked for (Armijo)
    if (fall > noise && fall >= 1e-4 * expected) return true;
    if (fall >= -noise && stationarity_ < 0.5 * stationarity) return true;
  }
  put(v);
  return false;
}

bool Descent::improve() {
  if (along(slope_)) return true;
  // Newton's step where the Hessian is not definite: rows without curvature keep a millionth of their weight, which
  // hardly holds back what others determine.
  if (along(slope_.cwiseMax(1e-6 * weight_))) return true;
  return along(weight_);
}

}  // namespace

LeastAbsolute least_absolute(const MatrixView& A, const VectorView& b, int max_exchanges) {
  const Coordinates at(A, b);
  LeastAbsolute fit;
  fit.rank = at.rank();
  Vertex vertex(at);
  const bool done = vertex.descend(max_exchanges);
  fit.exchanges = vertex.exchanges();
  fit.limit = !done && fit.exchanges >= max_exchanges;
  fit.x = at.shortest(vertex.v());
  fit.residuals = b - A * fit.x;
  fit.y = vertex.dual();
  fit.excess = std::max(0.0, fit.y.cwiseAbs().maxCoeff() - 1);
  fit.y = fit.y.cwiseMax(-1).cwiseMin(1);
  const Vector r = fit.residuals / at.beta;
  fit.cost = at.beta * r.cwiseAbs().sum();
  const double size = at.c.cwiseAbs().sum();
  fit.gap = size > 0 ? std::abs(r.cwiseAbs().sum() - fit.y.dot(at.c)) / size : 0;
  fit.stationarity = 0;
  for (Index j = 0; j < A.cols(); ++j) {
    const Vector column = A.col(j) / at.units[j];
    const double terms = column.cwiseAbs().sum();
    if (terms > 0) fit.stationarity = std::max(fit.stationarity, std::abs(column.dot(fit.y)) / terms);
  }
  fit.certified = fit.excess <= proof_level && fit.gap <= proof_level && fit.stationarity <= proof_level;
  if (fit.certified) vertex.fill(fit);
  return fit;
}

RobustFit robust_linear(const MatrixView& A, const VectorView& b, RobustLoss loss, double c, const VectorView& start,
                        int max_iterations) {
  const Coordinates at(A, b);
  Descent descent(at, loss, c / at.beta);
  descent.put(start.size() > 0 ? at.from(start) : Vector(at.Q.transpose() * at.c));
  RobustFit fit;
  fit.rank = at.rank();
  const double rounding = 4 * epsilon;
  while (descent.stationarity_ > rounding) {
    if (fit.iterations >= max_iterations) {
      fit.limit = true;
      break;
    }
    if (!descent.improve()) break;
    ++fit.iterations;
  }
  fit.x = at.shortest(descent.v_);
  fit.residuals = b - A * fit.x;
  fit.weights = descent.weight_;
  fit.cost = descent.cost_ * c * c;
  fit.stationarity = descent.stationarity_;
  fit.first_order = fit.stationarity <= proof_level;
  fit.curved = descent.curved() && fit.rank == A.cols();
  return fit;
}

}  // namespace marquardt
