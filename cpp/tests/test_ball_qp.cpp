// linalg/ball_qp: the minimiser in a ball, convex or not, against the conditions of More and Sorensen.
#include <doctest/doctest.h>

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <cmath>

#include "marquardt/linalg/ball_qp.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::uniform;

namespace {

Matrix symmetric(const Matrix& M) { return 0.5 * (M + M.transpose()); }

double lowest(const Matrix& B) { return Eigen::SelfAdjointEigenSolver<Matrix>(B).eigenvalues()[0]; }

// p minimises on ||p|| = Delta exactly if (B + alpha I) p = -g for some alpha >= max(0, -lambda_1).
void check_on_the_edge(const Matrix& B, const Vector& g, double Delta, const Vector& p) {
  const double size = B.norm();
  CHECK(p.norm() == doctest::Approx(Delta).epsilon(1e-12));
  const double alpha = -p.dot(B * p + g) / p.squaredNorm();
  CHECK(alpha >= -lowest(B) - 0.05 * size);  // the length was met to 1 %, then scaled
  CHECK((B * p + alpha * p + g).norm() <= 0.05 * (size * Delta + g.norm()));
}

}  // namespace

TEST_CASE("ball QP: the full step where B is positive definite and it fits, at any scale") {
  std::uint64_t seed = 0;
  for (const double scale : {1e-100, 1e-8, 1.0, 1e8, 1e100}) {
    const Matrix A = uniform(9, 5, ++seed);
    const Matrix B = scale * A.transpose() * A;
    const Vector g = scale * uniform(5, 1, ++seed), full = -B.colPivHouseholderQr().solve(g);
    BallQp ball_qp;
    ball_qp.factor(B, g);
    Vector p;
    CHECK_FALSE(ball_qp.solve(1.01 * full.norm(), p));
    CHECK((p - full).norm() <= 1e-10 * full.norm());
    CHECK(ball_qp.solve(0.99 * full.norm(), p));
    check_on_the_edge(B / scale, g / scale, 0.99 * full.norm(), p);
  }
}

TEST_CASE("ball QP: on the edge where B is indefinite, for any number of radii") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Matrix B = symmetric(uniform(6, 6, seed));
    const Vector g = uniform(6, 1, 100 + seed);
    REQUIRE(lowest(B) < 0);
    BallQp ball_qp;
    ball_qp.factor(B, g);
    Vector p;
    for (const double Delta : {1e-3, 1.0, 1e3}) {
      CHECK(ball_qp.solve(Delta, p));
      check_on_the_edge(B, g, Delta, p);
    }
  }
}

TEST_CASE("ball QP: the hard case, where nothing pulls along the lowest eigenvector") {
  const Matrix B = Vector{{-2, 1, 3}}.asDiagonal();
  const Vector g{{0, 1, 1}};
  BallQp ball_qp;
  ball_qp.factor(B, g);
  Vector p;
  CHECK(ball_qp.solve(10, p));
  CHECK(p.norm() == doctest::Approx(10));
  CHECK(p[1] == doctest::Approx(-1.0 / 3));  // -g / (lambda + 2)
  CHECK(p[2] == doctest::Approx(-1.0 / 5));
}

TEST_CASE("ball QP: allocates nothing after the first factor and solve of a size") {
  const Matrix B = symmetric(uniform(7, 7, 1)), C = symmetric(uniform(7, 7, 2));
  const Vector g = uniform(7, 1, 3);
  BallQp ball_qp;
  Vector p;
  ball_qp.factor(B, g);
  ball_qp.solve(1, p);
  const NoMalloc guard;
  ball_qp.factor(C, g);
  ball_qp.solve(2, p);
}
