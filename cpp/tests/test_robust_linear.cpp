// solve/robust_linear: the proof of a least-absolute fit, and the gradient of each loss by its definition.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "marquardt/solve/robust_linear.hpp"
#include "samples.hpp"

using namespace marquardt;

namespace {

Matrix random(Index m, Index n, std::uint64_t seed) { return samples::uniform(m, n, seed); }

Vector uniform(Index n, double low, double high, std::uint64_t seed) {
  return low + 0.5 * (high - low) * (1 + samples::uniform(n, 1, seed).array());
}

void check_proof(const Matrix& A, const Vector& b, const LeastAbsolute& fit) {
  CHECK(fit.certified);
  CHECK(fit.y.cwiseAbs().maxCoeff() <= 1);
  CHECK((A.transpose() * fit.y).cwiseAbs().maxCoeff() <= 1e-12 * A.cwiseAbs().sum());
  const double sum = (b - A * fit.x).cwiseAbs().sum();
  CHECK(std::abs(sum - fit.y.dot(b)) <= 1e-12 * b.cwiseAbs().sum());
  CHECK(fit.cost == doctest::Approx(sum).epsilon(1e-13));
}

}  // namespace

TEST_CASE("least absolute: random systems are proved") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    const Index n = 1 + static_cast<Index>(seed % 6), m = n + 3 * static_cast<Index>(seed);
    const Matrix A = random(m, n, seed);
    const Vector b = uniform(m, -1, 1, seed + 100);
    check_proof(A, b, least_absolute(A, b, 1000));
  }
}

TEST_CASE("least absolute: ties, repeated rows and exact fits are proved as well") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    const Index n = 1 + static_cast<Index>(seed % 5), m = 4 + static_cast<Index>(seed % 37);
    const Matrix A = (2.5 * random(m, n, seed)).array().round();
    const Vector b = (3 * uniform(m, -1, 1, seed + 100)).array().round();
    const LeastAbsolute fit = least_absolute(A, b, 1000);
    check_proof(A, b, fit);
    if (fit.direction.size() > 0) {
      CHECK_FALSE(fit.unique);
      const double there = (b - A * (fit.x + fit.direction)).cwiseAbs().sum();
      CHECK(std::abs(there - fit.cost) <= 1e-12 * b.cwiseAbs().sum());
    }
  }
}

TEST_CASE("least absolute: the median") {
  const Vector b = uniform(31, 0, 1, 5);
  const LeastAbsolute fit = least_absolute(Matrix::Ones(31, 1), b, 100);
  Vector sorted = b;
  std::sort(sorted.data(), sorted.data() + 31);
  CHECK(fit.x[0] == doctest::Approx(sorted[15]).epsilon(1e-15));
  CHECK(fit.unique);
}

TEST_CASE("robust losses end where the gradient of their definition is zero") {
  const Matrix A = random(40, 3, 9);
  Vector b = A * Vector::Ones(3) + 0.1 * uniform(40, -1, 1, 10);
  for (Index i = 0; i < 40; i += 6) b[i] += 10;
  const double c = 0.2;
  const auto weight = [](RobustLoss loss, double u) {
    switch (loss) {
      case RobustLoss::huber:
        return 1 / std::max(1.0, std::abs(u));
      case RobustLoss::soft_l1:
        return 1 / std::sqrt(1 + u * u);
      case RobustLoss::cauchy:
        return 1 / (1 + u * u);
      case RobustLoss::arctan:
        return 1 / (1 + u * u * u * u);
      case RobustLoss::welsch:
        return std::exp(-u * u);
      default:
        return std::abs(u) < 1 ? (1 - u * u) * (1 - u * u) : 0.0;
    }
  };
  for (const RobustLoss loss : {RobustLoss::huber, RobustLoss::soft_l1, RobustLoss::cauchy, RobustLoss::arctan,
                                RobustLoss::welsch, RobustLoss::tukey}) {
    CAPTURE(static_cast<int>(loss));
    const RobustFit fit = robust_linear(A, b, loss, c, Vector::Ones(3), 200);
    CHECK(fit.first_order);
    CHECK(fit.curved);
    CHECK((fit.x - Vector::Ones(3)).norm() < 0.2);
    Vector psi(40);
    for (Index i = 0; i < 40; ++i) {
      const double u = (b[i] - A.row(i).dot(fit.x)) / c;
      psi[i] = weight(loss, u) * u;
      CHECK(fit.weights[i] == doctest::Approx(weight(loss, u)).epsilon(1e-9));
    }
    CHECK((A.transpose() * psi).cwiseAbs().maxCoeff() <= 1e-12 * psi.cwiseAbs().sum());
  }
}
