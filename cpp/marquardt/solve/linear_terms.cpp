// Weights, a covariance of b, a ridge, a prior and equality constraints, brought to a plain system.
//
//   whitened       A1 = L^-1 A, b1 = L^-1 b       L L' = covariance, or diagonal with L_ii^2 = 1 / weight
//   shifted        x = prior + x_p + N y          C x_p = d - C prior of least norm, N an orthonormal null space of C
//   stacked        min || [A1 N; G N] y - [b1 - A1 (prior + x_p); -G x_p] ||          G the ridge
//
// Generalised cross-validation chooses the multiple t of the identity for which
//
//   V(t) = ||(I - H) b||^2 / trace(I - H)^2,   H = A (A'A + t I)^-1 A'
//
// is least, from the singular values of the triangle. References: Golub & Van Loan, 4th ed., 6.1-6.2; Bjorck (1996),
// Numerical Methods for Least Squares Problems, 4.3 and 5.1; Golub, Heath & Wahba (1979), Generalized cross-validation
// as a method for choosing a good ridge parameter.
#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>

#include "marquardt/linalg/safe_norm.hpp"
#include "marquardt/solve/linear.hpp"
#include "marquardt/solve/linear_kernels.hpp"

namespace marquardt {
namespace {

void whiten(const LinearTerms& terms, Matrix& A, Matrix& b) {
  if (terms.weights.size() > 0) {
    const Vector root = terms.weights.col(0).cwiseSqrt();
    A = root.asDiagonal() * A;
    b = root.asDiagonal() * b;
  }
  if (terms.covariance.size() > 0) {
    // unit variances first, so that units of the rows do not decide what is positive
    const Vector variance = terms.covariance.diagonal();
    if (!(variance.minCoeff() > 0)) throw std::invalid_argument("cov must be positive definite");
    const Vector inverse = variance.cwiseSqrt().cwiseInverse();
    const Eigen::LLT<Matrix> llt(Matrix(inverse.asDiagonal() * terms.covariance * inverse.asDiagonal()));
    const double least = llt.matrixLLT().diagonal().minCoeff();
    if (llt.info() != Eigen::Success || !(least * least > static_cast<double>(variance.size()) * epsilon)) {
      throw std::invalid_argument("cov must be positive definite");
    }
    A = llt.matrixL().solve(Matrix(inverse.asDiagonal() * A));
    b = llt.matrixL().solve(Matrix(inverse.asDiagonal() * b));
  }
}

// C x = d: the solution of least norm and the directions that it leaves free.
class Constraints {
 public:
  explicit Constraints(const Matrix& C) : scale_(C.rows()), C_(C) {
    for (Index i = 0; i < C.rows(); ++i) scale_[i] = normaliser(C.row(i).cwiseAbs().maxCoeff(), 1000);
    C_ = scale_.asDiagonal() * C;
    qr_.setThreshold(static_cast<double>(std::max(C.rows(), C.cols())) * epsilon);
    qr_.compute(C_.transpose());
    rank_ = qr_.rank();
  }
  Index rank() const { return rank_; }
  Matrix basis() const {
    Matrix Q = Matrix::Identity(C_.cols(), C_.cols());
    Q.applyOnTheLeft(qr_.householderQ());
    return Q.rightCols(C_.cols() - rank_);
  }
  // The shortest x with C x = d on the rows that carry the rank.
  Matrix particular(const Matrix& d) const {
    const Matrix right = qr_.colsPermutation().transpose() * (scale_.asDiagonal() * d);
    Matrix x = Matrix::Zero(C_.cols(), d.cols());
    const auto R = qr_.matrixQR().topLeftCorner(rank_, rank_).triangularView<Eigen::Upper>();
    x.topRows(rank_) = R.transpose().solve(right.topRows(rank_));
    x.applyOnTheLeft(qr_.householderQ());
    return x;
  }
  // A row that others imply has to agree with them, to rounding by the size of its terms.
  void check(const Matrix& x, const Matrix& d) const {
    const Matrix gap = (C_ * x - scale_.asDiagonal() * d).cwiseAbs();
    const Matrix terms = C_.cwiseAbs() * x.cwiseAbs() + (scale_.asDiagonal() * d).cwiseAbs();
    const double pivots = rank_ > 0 ? std::abs(qr_.maxPivot() / qr_.matrixQR()(rank_ - 1, rank_ - 1)) : 1;
    const double rounding = 100 * static_cast<double>(C_.cols() + C_.rows()) * epsilon * pivots;
    for (Index j = 0; j < gap.cols(); ++j) {
      for (Index i = 0; i < gap.rows(); ++i) {
        if (gap(i, j) > rounding * std::max(terms(i, j), terms.col(j).maxCoeff() * epsilon)) {
          throw std::invalid_argument("constraints must be consistent, but no x satisfies row " + std::to_string(i) +
                                      " together with the others");
        }
      }
    }
  }
  // d - C x in extended precision, and back onto the constraints.
  void correct(const Matrix& d, Matrix& x) const {
    for (int step = 0; step < 2; ++step) {
      Matrix gap(C_.rows(), x.cols());
      for (Index j = 0; j < x.cols(); ++j) {
        Eigen::Matrix<long double, Eigen::Dynamic, 1> r(C_.rows()), long_x = x.col(j).cast<long double>();
        for (Index i = 0; i < C_.rows(); ++i) r[i] = static_cast<long double>(d(i, j)) * scale_[i];
        linear::subtract_product(strided(C_), long_x.data(), r.data());
        for (Index i = 0; i < C_.rows(); ++i) gap(i, j) = static_cast<double>(r[i]) / scale_[i];
      }
      x += particular(gap);
    }
  }

 private:
  Vector scale_;  // of the rows, powers of two
  Matrix C_;
  Eigen::ColPivHouseholderQR<Matrix> qr_;
  Index rank_ = 0;
};

// The multiple of the identity of least V, on a grid of the logarithm and then by golden sections.
class CrossValidation {
 public:
  CrossValidation(const Matrix& A, const Matrix& b) : m_(static_cast<double>(A.rows())) {
    const Eigen::BDCSVD<Matrix> svd(A, Eigen::ComputeThinU);
    s_ = svd.singularValues();
    const Matrix beta = svd.matrixU().transpose() * b;
    beta_ = beta.rowwise().squaredNorm();
    rest_ = std::max(0.0, (b - svd.matrixU() * beta).squaredNorm());
  }
  double value(double log_t) const {
    double lack = rest_, trace = m_;
    for (Index i = 0; i < s_.size(); ++i) {
      const double ratio = s_[i] / std::exp(0.5 * log_t), left = 1 / (1 + ratio * ratio);
      lack += left * left * beta_[i];
      trace -= 1 - left;
    }
    return trace > 0 ? lack / trace / trace : infinity;
  }
  double best() const {
    if (s_.size() == 0 || s_[0] == 0) return 0;
    // from where the ridge is rounding beside the largest singular value to where it dwarfs it
    const double low = 2 * std::log(s_[0] * epsilon), high = 2 * std::log(s_[0] * 1e3);
    constexpr int points = 240;  // five a decade: minima are a decade wide
    int least = 0;
    const auto at = [&](int i) { return low + (high - low) * i / points; };
    for (int i = 1; i <= points; ++i) {
      if (value(at(i)) < value(at(least))) least = i;
    }
    double a = at(std::max(0, least - 1)), b = at(std::min(points, least + 1));
    constexpr double golden = 0.6180339887498949;
    while (b - a > 1e-8) {  // V is flat at its minimum: more digits of t mean nothing
      const double c = b - golden * (b - a), d = a + golden * (b - a);
      if (value(c) < value(d)) {
        b = d;
      } else {
        a = c;
      }
    }
    return std::exp(0.5 * (a + b));
  }

 private:
  double m_, rest_ = 0;
  Vector s_, beta_;
};

// Effective parameters: trace of A (A'A + G'G)^-1 A' = n - ||G T^-1||^2, T'T = A'A + G'G of full rank.
double effective_parameters(const Matrix& G, const LinearFit& fit) {
  const Index n = G.cols();
  if (fit.rank < n) return static_cast<double>(fit.rank);
  const Matrix part = fit.triangle.topRows(n).triangularView<Eigen::Upper>().transpose().solve(G.transpose());
  return std::max(0.0, static_cast<double>(n) - part.squaredNorm());
}

Matrix stack(const Matrix& top, const Matrix& bottom) {
  Matrix stacked(top.rows() + bottom.rows(), top.cols());
  stacked << top, bottom;
  return stacked;
}

// x = origin + basis y, and what follows from it in the rows as they were given.
void step_back(const StridedView& A, const StridedView& b, const Matrix& origin, const Matrix& basis, LinearFit& fit) {
  const Matrix y = fit.x;
  fit.x = origin;
  if (basis.size() > 0) {
    fit.x += basis * y;
  } else if (basis.rows() == 0) {
    fit.x += y;
  }
  if (basis.rows() > 0) {
    fit.null_space = basis * fit.null_space;
    fit.basis = basis;
  }
  using Extended = Eigen::Matrix<long double, Eigen::Dynamic, 1>;
  fit.residuals.resize(A.rows(), b.cols());
  for (Index c = 0; c < b.cols(); ++c) {
    const Extended x = fit.x.col(c).cast<long double>();
    Extended r(A.rows());
    for (Index i = 0; i < A.rows(); ++i) r[i] = b(i, c);
    linear::subtract_product(A, x.data(), r.data());
    fit.residuals.col(c) = r.cast<double>();
  }
}

}  // namespace

bool solve_linear(const StridedView& A, const StridedView& b, const LinearOptions& options, const LinearTerms& terms,
                  LinearFit& fit) {
  const Index m = A.rows(), n = A.cols(), k = b.cols();
  Matrix white_A = A, white_b = b;
  if (!white_A.allFinite() || !white_b.allFinite()) return false;
  if (m > 0) whiten(terms, white_A, white_b);

  Matrix origin = Matrix::Zero(n, k), step = Matrix::Zero(n, k), basis;
  if (terms.prior.size() > 0) origin = terms.prior.col(0).replicate(1, k);
  std::optional<Constraints> constraints;
  if (terms.constraints.rows() > 0) {
    constraints.emplace(terms.constraints);
    step = constraints->particular(terms.targets - terms.constraints * origin);
    constraints->check(origin + step, terms.targets);
    basis = constraints->basis();
    origin += step;
  }
  const bool moved = (origin.array() != 0).any();
  Matrix A1 = constraints ? Matrix(white_A * basis) : white_A;
  Matrix b1 = moved ? Matrix(white_b - white_A * origin) : white_b;

  double multiple = 1;
  Matrix G = constraints && terms.ridge.size() > 0 ? Matrix(terms.ridge * basis) : terms.ridge;
  if (G.rows() > 0) {
    if (terms.choose_ridge) multiple = CrossValidation(A1, b1).best();
    G *= std::sqrt(multiple);
    A1 = stack(A1, G);
    b1 = stack(b1, -std::sqrt(multiple) * (terms.ridge * step));
  }
  LinearSolver solver(options);
  if (!solver.solve(strided(A1), strided(b1), fit)) return false;

  const double effective = G.rows() > 0 ? effective_parameters(G, fit) : static_cast<double>(fit.rank);
  step_back(A, b, origin, basis, fit);
  if (constraints) {
    constraints->correct(terms.targets, fit.x);
    fit.rank += constraints->rank();
  }
  fit.ridge = terms.choose_ridge ? multiple : 0;
  fit.dof = static_cast<double>(m) - effective;
  for (Index c = 0; c < k; ++c) {
    const double norm = safe_norm(white_b.col(c) - white_A * fit.x.col(c));
    fit.cost[c] = 0.5 * norm * norm;
  }
  return true;
}

}  // namespace marquardt
