// linalg/box_qp: against every one of the 3^n active sets, in extended precision.
#include <doctest/doctest.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>

#include "marquardt/linalg/box_qp.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::Long;
using samples::LongMatrix;
using samples::LongVector;
using samples::uniform;

namespace {

Matrix definite(Index n, double condition, std::uint64_t seed) {
  const Matrix A = samples::with_singular_values(n, samples::spread(n, std::sqrt(condition)), seed);
  return A.transpose() * A;
}

Long objective(const Matrix& H, const Vector& g, const LongVector& x) {
  return x.dot(H.cast<Long>() * x) / 2 + x.dot(g.cast<Long>());
}

// The best point over all active sets: each variable at its lower bound, at its upper bound, or free.
LongVector enumerate(const Matrix& H, const Vector& g, const Vector& lower, const Vector& upper) {
  const Index n = g.size();
  Index sets = 1;
  for (Index i = 0; i < n; ++i) sets *= 3;
  LongVector best;
  Long least = std::numeric_limits<Long>::infinity();
  for (Index code = 0; code < sets; ++code) {
    std::vector<Index> free;
    LongVector x = LongVector::Zero(n);
    bool possible = true;
    for (Index i = 0, c = code; i < n; ++i, c /= 3) {
      if (c % 3 == 2) {
        free.push_back(i);
      } else {
        x[i] = c % 3 == 0 ? lower[i] : upper[i];
        possible = possible && std::isfinite(static_cast<double>(x[i]));
      }
    }
    if (!possible) continue;
    const Index k = static_cast<Index>(free.size());
    if (k > 0) {
      const LongVector y = H.cast<Long>() * x + g.cast<Long>();
      LongMatrix block(k, k);
      LongVector right(k);
      for (Index a = 0; a < k; ++a) {
        right[a] = -y[free[a]];
        for (Index b = 0; b < k; ++b) block(a, b) = H(free[a], free[b]);
      }
      const LongVector step = Eigen::FullPivLU<LongMatrix>(block).solve(right);
      for (Index a = 0; a < k; ++a) x[free[a]] = step[a];
    }
    const LongVector low = lower.cast<Long>(), high = upper.cast<Long>();
    if (((x - low).array() < -1e-15L).any() || ((x - high).array() > 1e-15L).any()) continue;
    const Long value = objective(H, g, x);
    if (value < least) {
      least = value;
      best = x;
    }
  }
  return best;
}

void check_inside(const Vector& x, const Vector& lower, const Vector& upper) {
  CHECK((x.array() >= lower.array()).all());
  CHECK((x.array() <= upper.array()).all());
}

void check_active(const BoxQp& solver, const Vector& x, const Vector& lower, const Vector& upper) {
  for (Index i = 0; i < x.size(); ++i) {
    if (solver.active()[i] == -1) CHECK(x[i] == lower[i]);
    if (solver.active()[i] == 1) CHECK(x[i] == upper[i]);
    if (solver.active()[i] == 0) CHECK((x[i] > lower[i] && x[i] < upper[i]));
  }
}

}  // namespace

TEST_CASE("box qp: agrees with every active set tried, from several starts") {
  BoxQp solver;
  for (Index n = 1; n <= 6; ++n) {
    for (std::uint64_t seed = 0; seed < 25; ++seed) {
      const double condition = seed % 5 == 0 ? 1e8 : 10;
      const Matrix H = definite(n, condition, seed);
      const Vector g = 2 * uniform(n, 1, 1000 + seed);
      Vector lower = -uniform(n, 1, 2000 + seed).cwiseAbs(), upper = uniform(n, 1, 3000 + seed).cwiseAbs();
      if (seed % 7 == 2) lower[n / 2] = upper[n / 2];
      if (seed % 3 == 1) lower[0] = -infinity;
      if (seed % 4 == 1) upper[n - 1] = infinity;
      const LongVector truth = enumerate(H, g, lower, upper);
      for (const double start : {0.0, -1e3, 1e3}) {
        CAPTURE(n);
        CAPTURE(seed);
        CAPTURE(start);
        Vector x = Vector::Constant(n, start);
        const BoxQpReport report = solver.solve(H, g, lower, upper, x);
        CHECK(report.solved);
        CHECK(report.kkt <= 1e-12);
        CHECK(report.iterations <= 30);
        check_inside(x, lower, upper);
        check_active(solver, x, lower, upper);
        CHECK((x.cast<Long>() - truth).norm() <= 1e-14L * condition * std::max<Long>(1, truth.norm()));
        for (Index i = 0; i < n; ++i) {  // where the truth is on a bound, x is there to the last bit
          if (truth[i] == lower[i] || truth[i] == upper[i]) CHECK(x[i] == static_cast<double>(truth[i]));
        }
      }
    }
  }
}

TEST_CASE("box qp: bounds changed one by one lead to the same answer") {
  for (Index n = 1; n <= 6; ++n) {
    for (std::uint64_t seed = 0; seed < 25; ++seed) {
      const Matrix H =
          seed % 5 == 4 ? Matrix(definite(n, 10, seed) + Matrix::Constant(n, n, 1e6)) : definite(n, 1e4, seed);
      const Vector g = 2 * uniform(n, 1, 1000 + seed);
      const Vector lower = -uniform(n, 1, 2000 + seed).cwiseAbs(), upper = uniform(n, 1, 3000 + seed).cwiseAbs();
      for (const int block_limit : {0, 1}) {
        for (const double start : {0.0, -1e3, 1e3}) {
          BoxQp single(block_limit), block;
          Vector x = Vector::Constant(n, start), y = x;
          const BoxQpReport report = single.solve(H, g, lower, upper, x);
          CHECK(report.solved);
          CHECK(report.kkt <= 1e-12);
          CHECK(block.solve(H, g, lower, upper, y).solved);
          CHECK((x - y).norm() < 1e-8);  // the condition, up to 1e8, times rounding
          check_inside(x, lower, upper);
        }
      }
    }
  }
}

TEST_CASE("box qp: without bounds it is one Newton step") {
  const Matrix H = definite(7, 1e3, 1);
  const Vector g = uniform(7, 1, 2), wide = Vector::Constant(7, infinity);
  BoxQp solver;
  Vector x = Vector::Zero(7);
  const BoxQpReport report = solver.solve(H, g, -wide, wide, x);
  CHECK(report.solved);
  CHECK(report.iterations == 1);
  CHECK((H * x + g).norm() < 1e-13);
  CHECK((solver.active().array() == 0).all());
}

TEST_CASE("box qp: a warm start with the right active set costs one system, the solution none") {
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Index n = 20;
    const Matrix H = definite(n, 100, seed);
    const Vector g = uniform(n, 1, 50 + seed), lower = Vector::Constant(n, -0.3), upper = Vector::Constant(n, 0.4);
    Vector x = Vector::Zero(n);
    REQUIRE(solver.solve(H, g, lower, upper, x).solved);
    Vector again = x;
    CHECK(solver.solve(H, g, lower, upper, again).iterations == 0);
    CHECK(again == x);
    Vector nearby = x;  // the free part a little off
    for (Index i = 0; i < n; ++i) nearby[i] += solver.active()[i] == 0 ? 1e-6 * (x[i] > 0 ? -1 : 1) : 0;
    const BoxQpReport report = solver.solve(H, g, lower, upper, nearby);
    CHECK(report.solved);
    CHECK(report.iterations == 1);
    CHECK((nearby - x).norm() < 1e-12);
  }
}

TEST_CASE("box qp: larger problems settle in a few systems") {
  BoxQp solver;
  int most = 0;
  for (const Index n : {50, 120}) {
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Matrix H = definite(n, seed % 2 ? 1e6 : 10, seed);
      const Vector g = uniform(n, 1, 60 + seed), lower = -uniform(n, 1, 70 + seed).cwiseAbs();
      Vector x = Vector::Zero(n);
      const BoxQpReport report = solver.solve(H, g, lower, Vector::Constant(n, 0.5), x);
      CHECK(report.solved);
      CHECK(report.kkt <= 1e-12);
      most = std::max(most, report.iterations);
      check_inside(x, lower, Vector::Constant(n, 0.5));
    }
  }
  CHECK(most <= 25);
}

TEST_CASE("box qp: a solution with none, few or many on their bounds, on both sides of the factor's panels of 64") {
  BoxQp solver;
  for (const Index n : {63, 64, 65, 130, 200}) {
    for (const Index every : {0, 30, 3}) {  // 0: nobody is held; else every such variable is
      for (const bool singular : {false, true}) {
        CAPTURE(n);
        CAPTURE(every);
        CAPTURE(singular);
        Matrix A = samples::with_singular_values(n, samples::spread(n, 10), 3);
        if (singular) A.topRows(n / 4).setZero();
        const Matrix H = A.transpose() * A;
        const Vector one = Vector::Ones(n);
        Vector truth = 0.9 * uniform(n, 1, 4), y = Vector::Zero(n);
        for (Index i = 0; every > 0 && i < n; i += every) {
          truth[i] = i % 2 == 0 ? 1 : -1;
          y[i] = -0.5 * truth[i];
        }
        const Vector g = y - H * truth;
        for (const Convexity convexity : {Convexity::assumed, Convexity::checked}) {
          Vector x = Vector::Zero(n);
          const BoxQpReport report = solver.solve(H, g, -one, one, x, convexity);
          CHECK(report.solved);
          CHECK(report.kkt <= 1e-13);
          CHECK(report.iterations <= 12);
          check_inside(x, -one, one);
          check_active(solver, x, -one, one);
          CHECK(std::abs(objective(H, g, x.cast<Long>()) - objective(H, g, truth.cast<Long>())) < 1e-12L);
          if (!singular) CHECK((x - truth).norm() < 1e-11);  // the condition, 100, times rounding
        }
      }
    }
  }
}

TEST_CASE("box qp: hard to settle in blocks, still finished: every variable coupled to every other") {
  // Nearly singular with strong couplings; narrow boxes of very different widths put most walls in the way.
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Index n = 6;
    Matrix H = Matrix::Constant(n, n, 1.0) + 1e-6 * definite(n, 10, seed);
    Vector g = uniform(n, 1, 80 + seed), upper(n);
    for (Index i = 0; i < n; ++i) upper[i] = std::pow(10.0, -static_cast<double>(i));
    const Vector lower = -upper.reverse();
    Vector x = Vector::Zero(n);
    const BoxQpReport report = solver.solve(H, g, lower, upper, x);
    CHECK(report.solved);
    const LongVector truth = enumerate(H, g, lower, upper);
    CHECK(std::abs(objective(H, g, x.cast<Long>()) - objective(H, g, truth)) < 1e-12L);
  }
}

TEST_CASE("box qp: variables in units 1e-8 to 1e8") {
  const Index n = 5;
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Matrix H = definite(n, 10, seed);
    const Vector g = 2 * uniform(n, 1, 90 + seed), half = Vector::Constant(n, 0.5);
    Vector x = Vector::Zero(n), unit(n);
    REQUIRE(solver.solve(H, g, -half, half, x).solved);
    unit << 1e8, 1e-8, 1, 1e4, 1e-5;
    const Matrix scaled = unit.asDiagonal() * H * unit.asDiagonal();
    const Vector wall = half.cwiseQuotient(unit);
    Vector y = Vector::Zero(n);
    const BoxQpReport report = solver.solve(scaled, unit.cwiseProduct(g), -wall, wall, y);
    CHECK(report.solved);
    CHECK(report.kkt <= 1e-12);
    CHECK((y.cwiseProduct(unit) - x).norm() < 1e-13);
  }
}

TEST_CASE("box qp: singular H is solved wherever a minimiser exists") {
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const Index rank : {0, 1, 3}) {
      CAPTURE(seed);
      CAPTURE(rank);
      const Index n = 5;
      const Matrix A = uniform(std::max<Index>(rank, 1), n, seed) * (rank > 0 ? 1 : 0);
      const Matrix H = A.transpose() * A;
      const Vector lower = -uniform(n, 1, 100 + seed).cwiseAbs(), upper = uniform(n, 1, 200 + seed).cwiseAbs();
      const Vector wide = Vector::Constant(n, infinity);
      // any g in a bounded box
      const Vector g = uniform(n, 1, 300 + seed);
      Vector x = Vector::Zero(n);
      BoxQpReport report = solver.solve(H, g, lower, upper, x);
      CHECK(report.solved);
      CHECK(report.kkt <= 1e-12);
      check_inside(x, lower, upper);
      // regularised ever so little, the truth is near
      const LongVector truth = enumerate(H + 1e-9 * Matrix::Identity(n, n), g, lower, upper);
      CHECK(std::abs(objective(H, g, x.cast<Long>()) - objective(H, g, truth)) < 1e-8L);
      // g in the range of H: bounded below without any walls, by a step without a null part
      const Vector reachable = A.transpose() * uniform(A.rows(), 1, 400 + seed);
      x.setZero();
      report = solver.solve(H, reachable, -wide, wide, x);
      CHECK(report.solved);
      CHECK((H * x + reachable).norm() < 1e-12);
      // otherwise it falls without end
      x.setZero();
      report = solver.solve(H, g, -wide, wide, x);
      CHECK_FALSE(report.solved);
    }
  }
}

TEST_CASE("box qp: a duplicated column with one wall in the way") {
  Matrix J(2, 2);
  J << 1, 1, 1, 1;
  const Matrix H = J.transpose() * J;
  Vector g(2), lower(2), upper(2);
  g << -4, -4;
  lower << 0, -infinity;
  upper << 0.5, infinity;
  Vector x = Vector::Zero(2);
  BoxQp solver;
  REQUIRE(solver.solve(H, g, lower, upper, x).solved);
  CHECK(x.sum() == doctest::Approx(2).epsilon(1e-14));
  check_inside(x, lower, upper);
}

TEST_CASE("box qp: everything fixed, everything on its bound, nothing to do") {
  const Matrix H = definite(3, 10, 1);
  const Vector at = uniform(3, 1, 2), g = uniform(3, 1, 3);
  BoxQp solver;
  Vector x = Vector::Zero(3);
  BoxQpReport report = solver.solve(H, g, at, at, x);
  CHECK(report.solved);
  CHECK(report.iterations == 0);
  CHECK(report.kkt == 0);
  CHECK(x == at);
  CHECK((solver.active().array() != 0).all());
  x.setZero();
  report = solver.solve(H, Vector::Zero(3), Vector::Constant(3, -1), Vector::Constant(3, 1), x);
  CHECK(report.solved);
  CHECK(report.iterations == 0);
  CHECK(x == Vector::Zero(3));
}

TEST_CASE("box qp: a start that is not a number begins at the nearest point to zero") {
  const Matrix H = definite(3, 10, 4);
  const Vector g = uniform(3, 1, 5), lower = Vector::Constant(3, 0.1), upper = Vector::Constant(3, 9);
  Vector x = Vector::Constant(3, std::nan("")), y = Vector::Zero(3), z;
  BoxQp solver;
  CHECK(solver.solve(H, g, lower, upper, x).solved);
  CHECK(solver.solve(H, g, lower, upper, y).solved);
  CHECK(solver.solve(H, g, lower, upper, z).solved);  // no start at all
  CHECK(x == y);
  CHECK(x == z);
}

TEST_CASE("box qp: input that is not finite, or an empty box, is not solved") {
  const Vector ones = Vector::Ones(2);
  BoxQp solver;
  Vector x = Vector::Zero(2), bad = ones;
  Matrix H = Matrix::Identity(2, 2);
  bad[1] = std::nan("");
  CHECK_FALSE(solver.solve(H, bad, -ones, ones, x).solved);
  CHECK_FALSE(solver.solve(H, ones, bad, ones, x).solved);
  CHECK_FALSE(solver.solve(H, ones, ones, -ones, x).solved);
  H(0, 1) = H(1, 0) = infinity;
  CHECK_FALSE(solver.solve(H, ones, -ones, ones, x).solved);
  CHECK(x.allFinite());
}

TEST_CASE("box qp: a guess of the active set, right or wrong") {
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Index n = 25;
    const Matrix H = definite(n, 1e3, seed);
    const Vector g = uniform(n, 1, 500 + seed), lower = Vector::Constant(n, -0.3), upper = Vector::Constant(n, 0.4);
    Vector x = Vector::Zero(n);
    REQUIRE(solver.solve(H, g, lower, upper, x).solved);
    const Eigen::VectorXi right = solver.active();
    Vector y = Vector::Zero(n);
    BoxQpReport report = solver.solve(H, g, lower, upper, right, y);
    CHECK(report.solved);
    CHECK(report.iterations <= 1);
    CHECK((y - x).norm() < 1e-12);
    y.setZero();
    CHECK(solver.solve(H, g, lower, upper, -right, y).solved);
    CHECK((y - x).norm() < 1e-12);
    const Vector wide = Vector::Constant(n, infinity);  // a guess that names walls that are not there
    CHECK(solver.solve(H, g, -wide, wide, right, y).solved);
    CHECK((H * y + g).norm() < 1e-12);
  }
}

TEST_CASE("box qp: multipliers, gradient and objective agree with x") {
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Index n = 8;
    const Matrix H = definite(n, 100, seed);
    const Vector g = 2 * uniform(n, 1, 600 + seed), lower = Vector::Constant(n, -0.3), upper = Vector::Constant(n, 0.4);
    Vector x = Vector::Zero(n);
    REQUIRE(solver.solve(H, g, lower, upper, x, Convexity::checked).solved);
    const Vector multipliers = solver.multipliers();
    CHECK((solver.gradient() - (H * x + g)).norm() < 1e-14);
    CHECK(solver.objective(g, x) == doctest::Approx(static_cast<double>(objective(H, g, x.cast<Long>()))));
    for (Index i = 0; i < n; ++i) {
      CHECK(multipliers[i] >= 0);
      if (solver.active()[i] != 0) CHECK(solver.gradient()[i] == -solver.active()[i] * multipliers[i]);
      if (solver.active()[i] == 0) CHECK(multipliers[i] == 0);
    }
  }
}

TEST_CASE("box qp: a proof of convexity changes no answer, and a negative eigenvalue gets none") {
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const Index n = 3 + static_cast<Index>(seed % 10);
    const Matrix A = uniform(seed % 3 == 0 ? n - 1 : n, n, seed);  // every third one singular
    const Matrix H = A.transpose() * A;
    const Vector g = uniform(n, 1, 700 + seed), one = Vector::Ones(n);
    Vector x = Vector::Zero(n), y = x;
    const BoxQpReport assumed = solver.solve(H, g, -one, one, x);
    const BoxQpReport checked = solver.solve(H, g, -one, one, y, Convexity::checked);
    CHECK(assumed.solved);
    CHECK(checked.solved);
    CHECK(checked.status == BoxQpStatus::solved);
    CHECK(checked.kkt <= 1e-12);
    CHECK(std::abs(objective(H, g, x.cast<Long>()) - objective(H, g, y.cast<Long>())) < 1e-12L);
    Matrix bent = H;
    bent(0, 0) -= 1.001 * H(0, 0);
    CHECK(solver.solve(bent, g, -one, one, y, Convexity::checked).status == BoxQpStatus::not_convex);
    CHECK(solver.solve(-definite(n, 10, seed), g, -one, one, y, Convexity::checked).status == BoxQpStatus::not_convex);
  }
}

TEST_CASE("box qp: a ray along which the objective falls without end") {
  BoxQp solver;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Index n = 6;
    const Matrix A = uniform(n - 2, n, seed);
    const Matrix H = A.transpose() * A;
    const Vector g = uniform(n, 1, 800 + seed), wide = Vector::Constant(n, infinity);
    for (const double start : {0.0, 1.0, 1e18}) {
      CAPTURE(seed);
      CAPTURE(start);
      Vector x = Vector::Constant(n, start);
      const BoxQpReport report = solver.solve(H, g, -wide, wide, x, Convexity::checked);
      CHECK(report.status == BoxQpStatus::unbounded);
      CHECK(report.singular);
      CHECK(solver.ray().cwiseAbs().maxCoeff() == 1);
      CHECK(solver.ray().dot(g) < 0);
      CHECK((H * solver.ray()).norm() < 1e-12);
    }
  }
}

TEST_CASE("box qp: allocates nothing once the size is known") {
  BoxQp solver;
  for (const Index n : {1, 3, 16, 60}) {
    const Matrix H = definite(n, 1e6, 6);
    const Vector g = uniform(n, 1, 7), lower = Vector::Constant(n, -0.2), upper = Vector::Constant(n, 0.1);
    const Vector zero = Vector::Zero(n);
    Vector x = zero;
    solver.solve(H, g, lower, upper, x);
    for (const Convexity convexity : {Convexity::assumed, Convexity::checked}) {
      x = zero;
      const NoMalloc guard;
      CHECK(solver.solve(H, g, lower, upper, x, convexity).solved);
    }
  }
}
