// Coleman-Li: the scaling by hand, and the choice at a wall against brute force over the three candidate paths.
#include <doctest/doctest.h>

#include <Eigen/Cholesky>
#include <cmath>

#include "fakes.hpp"
#include "marquardt/linalg/secular.hpp"
#include "marquardt/step/coleman_li.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

// A model with everything needed to compute its decrease without it.
struct Case {
  Case(const Matrix& A, const Vector& residuals, const Vector& at, const Box& feasible)
      : J(A), r(residuals), x(at), box(feasible), point(point_of(A, residuals, at)) {
    coleman_li::scaling(x, point.g(), box, v, dv);
    d = v.cwiseSqrt();
    C = point.g().cwiseProduct(dv);
    for (Index j = 0; j < x.size(); ++j) {
      if (box.fixed(j)) C[j] = 1;
    }
    model.set(point.rows, d, C);
  }

  // m(0) - m(p_hat) from the rows themselves
  double decrease(const Vector& p_hat) const {
    const Vector Jp = J * d.cwiseProduct(p_hat);
    return -Jp.dot(r) - 0.5 * Jp.squaredNorm() - 0.5 * p_hat.dot(C.cwiseProduct(p_hat));
  }
  Vector trial(const Vector& p_hat) const { return x + d.cwiseProduct(p_hat); }
  Vector full_step() const {
    const Matrix A = J * d.asDiagonal();
    Matrix B = A.transpose() * A;
    B.diagonal() += C;
    return -B.ldlt().solve(A.transpose() * r);
  }

  Matrix J;
  Vector r, x;
  Box box;
  Point point;
  Vector v, dv, d, C;
  Model model;
};

// Columns with much in common: the step then goes against the gradient in some of them, and runs into their near walls.
Case random_case(Numbers& numbers, Index n) {
  const Vector x = numbers.vector(n);
  Box box = Box::infinite(n);
  for (Index j = 0; j < n; ++j) {
    box.lower[j] = x[j] - std::pow(10.0, numbers.between(-2, 0));
    box.upper[j] = x[j] + std::pow(10.0, numbers.between(-2, 0));
  }
  const Matrix A = numbers.matrix(n + 3, n) + 2 * numbers.vector(n + 3) * Vector::Ones(n).transpose();
  return {A, 3 * numbers.vector(n + 3), x, box};
}

bool strictly_inside(const Vector& y, const Box& box) {
  return (y.array() > box.lower.array()).all() && (y.array() < box.upper.array()).all();
}

// The candidates as the theory describes them, tried at many lengths: the best decrease found.
double best_of_three(const Case& c, double Delta, double theta, const Vector& p_hat) {
  constexpr int samples = 4000;
  const Vector p = c.d.cwiseProduct(p_hat);
  const double wall = c.box.reach(c.x, p);
  double best = c.decrease(theta * wall * p_hat);
  // reflected at the first wall, away from that wall by as much as the cut step
  Vector turned = p_hat;
  for (Index j = 0; j < c.x.size(); ++j) {
    const double at = c.x[j] + wall * p[j];
    const double slack = 1e-12 * (1 + std::abs(at));
    if (p[j] != 0 && (at >= c.box.upper[j] - slack || at <= c.box.lower[j] + slack)) turned[j] = -turned[j];
  }
  const Vector corner = wall * p_hat;
  const double next = c.box.reach(c.trial(corner), c.d.cwiseProduct(turned));
  const double near = (1 - theta) * wall, far = theta * next;
  for (int k = 0; k <= samples && near < far; ++k) {
    const Vector q = corner + (near + k * (far - near) / samples) * turned;
    if (q.norm() <= Delta) best = std::max(best, c.decrease(q));
  }
  // scaled gradient
  const Vector downhill = -c.d.cwiseProduct(c.J.transpose() * c.r);
  const double end = std::min(Delta / downhill.norm(), theta * c.box.reach(c.x, c.d.cwiseProduct(downhill)));
  for (int k = 0; k <= samples; ++k) best = std::max(best, c.decrease(k * end / samples * downhill));
  return best;
}

}  // namespace

TEST_CASE("coleman_li: v is the distance to the wall that the descent direction points at") {
  const Box feasible = box({0, 0, -infinity, 0, -infinity, 2}, {10, 10, 5, infinity, infinity, 2});
  const Vector x = vector({3, 3, 1, 4, 7, 2});
  Vector v, dv;
  coleman_li::scaling(x, vector({1, -1, -2, 2, 5, 1}), feasible, v, dv);
  CHECK(v == vector({3, 7, 4, 4, 1, 0}));
  CHECK(dv == vector({1, -1, -1, 1, 0, 0}));
  coleman_li::scaling(x, vector({0, 0, 2, -2, -5, -1}), feasible, v, dv);
  CHECK(v == vector({1, 1, 1, 1, 1, 0}));
  CHECK(dv == vector({0, 0, 0, 0, 0, 0}));
}

TEST_CASE("coleman_li: dv is the derivative of v and makes positive curvature") {
  Numbers numbers(31);
  for (int time = 0; time < 20; ++time) {
    const Vector x = numbers.vector(4), g = numbers.vector(4);
    const Box feasible = {x.array() - 0.5, x.array() + 0.25};
    Vector v, dv, moved, unused;
    coleman_li::scaling(x, g, feasible, v, dv);
    const double h = std::ldexp(1.0, -20);
    coleman_li::scaling(x.array() + h, g, feasible, moved, unused);
    CHECK(((moved - v) / h - dv).cwiseAbs().maxCoeff() <= 1e-8);
    CHECK((v.array() > 0).all());
    CHECK((g.cwiseProduct(dv).array() >= 0).all());  // C of the model
  }
}

TEST_CASE("coleman_li: a step within the box is taken as it is") {
  Numbers numbers(32);
  for (int time = 0; time < 20; ++time) {
    const Case c = random_case(numbers, 3);
    const Vector full = c.full_step();
    const Vector p_hat = 0.5 * std::min(1.0, c.box.reach(c.x, c.d.cwiseProduct(full))) * full;
    coleman_li::Choice choice;
    coleman_li::choose(c.model, c.x, c.box, 10 * p_hat.norm(), 0.995, p_hat, choice);
    CHECK_FALSE(choice.met_wall);
    CHECK(choice.p_hat == p_hat);
    CHECK(choice.predicted == doctest::Approx(c.decrease(p_hat)).epsilon(1e-11));
  }
}

TEST_CASE("coleman_li: at a wall the choice is feasible and no worse than the cut step") {
  Numbers numbers(33);
  int met = 0;
  for (int time = 0; time < 1000; ++time) {
    const Index n = 1 + time % 5;
    const Case c = random_case(numbers, n);
    std::unique_ptr<Subproblem> subproblem = make_qr();
    subproblem->factor(c.model);
    const double Delta = c.full_step().norm() * numbers.between(0.2, 1.5);
    const double theta = numbers.between(0.9, 0.9999);
    Vector p_hat;
    secular(*subproblem, c.model, Delta, 0, p_hat);
    coleman_li::Choice choice;
    coleman_li::choose(c.model, c.x, c.box, Delta, theta, p_hat, choice);
    const Vector p = c.d.cwiseProduct(p_hat);
    CHECK(choice.met_wall == !c.box.contains(c.x + p));
    if (!choice.met_wall) continue;
    ++met;
    CAPTURE(time);
    CHECK(strictly_inside(c.trial(choice.p_hat), c.box));
    CHECK(choice.p_hat.norm() <= Delta * (1 + 1e-12));
    CHECK(choice.predicted == doctest::Approx(c.decrease(choice.p_hat)).epsilon(1e-9));
    const double cut = c.decrease(theta * c.box.reach(c.x, p) * p_hat);
    CHECK(choice.predicted >= cut - 1e-12 * std::abs(cut));
    CHECK(choice.predicted > 0);
  }
  CHECK(met > 100);
}

TEST_CASE("coleman_li: at a wall the choice is the best of the three candidates") {
  Numbers numbers(34);
  int met = 0;
  for (int time = 0; time < 240; ++time) {
    const Case c = random_case(numbers, 2 + time % 3);
    const Vector p_hat = c.full_step();
    const double Delta = p_hat.norm() * numbers.between(1, 1.5), theta = 0.995;
    if (c.box.contains(c.trial(p_hat))) continue;
    ++met;
    CAPTURE(time);
    coleman_li::Choice choice;
    coleman_li::choose(c.model, c.x, c.box, Delta, theta, p_hat, choice);
    const double best = best_of_three(c, Delta, theta, p_hat);
    CHECK(choice.predicted >= best - 1e-9 * std::abs(best));
    CHECK(choice.predicted <= best + 1e-5 * std::abs(best));  // the samples are that fine
  }
  CHECK(met > 40);
}

TEST_CASE("coleman_li: the prediction is the model's fall all over a grid") {
  Numbers numbers(35);
  const Matrix A = numbers.matrix(5, 2);
  const Vector r = 2 * numbers.vector(5);
  const Box feasible = box({-1, -1}, {1, 1});
  int met = 0;
  for (double a = -0.9; a < 1; a += 0.3) {
    for (double b = -0.9; b < 1; b += 0.3) {
      const Case c(A, r, vector({a, b}), feasible);
      for (double p0 = -3; p0 <= 3; p0 += 0.75) {
        for (double p1 = -3; p1 <= 3; p1 += 0.75) {
          const Vector p_hat = vector({p0, p1});
          if (p_hat.norm() == 0) continue;
          coleman_li::Choice choice;
          coleman_li::choose(c.model, c.x, c.box, p_hat.norm(), 0.99, p_hat, choice);
          met += choice.met_wall ? 1 : 0;
          const double truth = c.decrease(choice.p_hat);
          const double scale = std::abs(truth) + 1e-3 * r.squaredNorm() * choice.p_hat.norm();
          REQUIRE(std::abs(choice.predicted - truth) <= 1e-12 * scale);
          REQUIRE(c.box.contains(c.trial(choice.p_hat)));
          REQUIRE(choice.p_hat.norm() <= p_hat.norm() * (1 + 1e-12));
        }
      }
    }
  }
  CHECK(met > 100);
}

TEST_CASE("coleman_li: no choice beats the best point of the region on a grid") {
  Numbers numbers(36);
  for (int time = 0; time < 10; ++time) {
    const Case c = random_case(numbers, 2);
    const Vector p_hat = c.full_step();
    const double Delta = p_hat.norm();
    coleman_li::Choice choice;
    coleman_li::choose(c.model, c.x, c.box, Delta, 0.995, p_hat, choice);
    double best = 0;
    constexpr int half = 150;
    for (int i = -half; i <= half; ++i) {
      for (int k = -half; k <= half; ++k) {
        const Vector q = vector({i * Delta / half, k * Delta / half});
        if (q.norm() <= Delta && c.box.contains(c.trial(q))) best = std::max(best, c.decrease(q));
      }
    }
    CHECK(choice.predicted <= best * 1.05 + 1e-12);
  }
}

TEST_CASE("coleman_li: several walls met at once turn round together") {
  // the diagonal from the middle of a square runs into its corner
  const Case c(Matrix::Identity(2, 2), vector({-5, -5}), vector({0, 0}), box({-1, -1}, {1, 1}));
  const Vector p_hat = vector({4, 4});
  coleman_li::Choice choice;
  coleman_li::choose(c.model, c.x, c.box, 10, 0.995, p_hat, choice);
  CHECK(choice.met_wall);
  CHECK(strictly_inside(c.trial(choice.p_hat), c.box));
  CHECK(choice.p_hat[0] == doctest::Approx(choice.p_hat[1]));
  CHECK(c.trial(choice.p_hat)[0] == doctest::Approx(5.0 / 6));  // g_hat = -5, B + C = 1 + 5 along each axis
}

TEST_CASE("coleman_li: a fixed variable stays and does not count as a wall") {
  Numbers numbers(37);
  const Vector x = vector({0, 2, 0});
  const Case c(numbers.matrix(6, 3), numbers.vector(6), x, box({-0.1, 2, -0.1}, {0.1, 2, 0.1}));
  const Vector p_hat = 5 * c.full_step();
  CHECK(std::abs(p_hat[1]) == 0);
  coleman_li::Choice choice;
  coleman_li::choose(c.model, c.x, c.box, 100, 0.995, p_hat, choice);
  CHECK(choice.met_wall);
  CHECK(c.trial(choice.p_hat)[1] == 2);
  CHECK(choice.predicted > 0);
}

TEST_CASE("coleman_li: a choice that reuses its buffers allocates nothing") {
  Numbers numbers(38);
  const Case c = random_case(numbers, 4);
  const Vector p_hat = 20 * c.full_step();
  coleman_li::Choice choice;
  coleman_li::choose(c.model, c.x, c.box, 100, 0.995, p_hat, choice);
  REQUIRE(choice.met_wall);
  const NoMalloc guard;
  coleman_li::choose(c.model, c.x, c.box, 100, 0.995, p_hat, choice);
}
