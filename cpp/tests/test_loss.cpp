// problem/loss: each loss against its formula in extended precision.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "fakes.hpp"
#include "marquardt/problem/loss.hpp"

using namespace marquardt;
using fakes::vector;

namespace {

using Long = long double;

struct Known {
  std::string name;
  std::function<Long(Long z)> rho, slope;  // rho(z), rho'(z)
};

const std::vector<Known> known = {
    {"linear", [](Long z) { return z; }, [](Long) { return Long(1); }},
    {"soft_l1", [](Long z) { return 2 * z / (std::sqrt(1 + z) + 1); }, [](Long z) { return 1 / std::sqrt(1 + z); }},
    {"huber", [](Long z) { return z <= 1 ? z : 2 * std::sqrt(z) - 1; },
     [](Long z) { return z <= 1 ? Long(1) : 1 / std::sqrt(z); }},
    {"cauchy", [](Long z) { return std::log1p(z); }, [](Long z) { return 1 / (1 + z); }},
    {"arctan", [](Long z) { return std::atan(z); }, [](Long z) { return 1 / (1 + z * z); }},
    {"tukey", [](Long z) { return z <= 1 ? z * (1 - z + z * z / 3) : Long(1) / 3; },
     [](Long z) { return z <= 1 ? (1 - z) * (1 - z) : Long(0); }},
};

const Vector residuals =
    vector({0.1, -0.1, 0.5, 0.999, -1, 1.001, 2, -30, 1e4, 1e9, -1e-3, 0.3, 1e-8, -1e-160, 1e154, 0});

}  // namespace

TEST_CASE("loss: the half sum of squares is the cost") {
  for (const Known& loss : known) {
    for (const double C : {1.0, 0.25, 1e5}) {
      CAPTURE(loss.name);
      CAPTURE(C);
      Vector s;
      Loss(loss_kind(loss.name), Vector::Constant(1, C)).transform(residuals, s);
      for (Index i = 0; i < residuals.size(); ++i) {
        CAPTURE(residuals[i]);
        const Long u = Long(residuals[i]) / C;
        const Long expected = C * std::sqrt(loss.rho(u * u));
        CHECK(std::abs(Long(s[i]) - std::copysign(expected, u)) <= 4 * epsilon * expected);
        CHECK(std::signbit(s[i]) == std::signbit(residuals[i]));
      }
    }
  }
}

TEST_CASE("loss: the slopes are rho'(z) u / sqrt(rho(z))") {
  for (const Known& loss : known) {
    CAPTURE(loss.name);
    Vector ds;
    Loss(loss_kind(loss.name), Vector::Constant(1, 0.5)).slopes(residuals, ds);
    for (Index i = 0; i < residuals.size(); ++i) {
      CAPTURE(residuals[i]);
      const Long u = std::abs(Long(residuals[i])) / 0.5L;
      if (u == 0) {
        CHECK(ds[i] == 1);
      } else {
        const Long expected = loss.slope(u * u) * u / std::sqrt(loss.rho(u * u));
        CHECK(static_cast<double>(std::abs(ds[i] - expected)) <= 1e-14 * static_cast<double>(std::abs(expected)));
      }
      CHECK(ds[i] >= 0);
      CHECK(ds[i] <= 1);
    }
  }
}

TEST_CASE("loss: a scale for each residual") {
  const Vector r = vector({3, -4, 5}), C = vector({1, 2, 10});
  const Loss loss(LossKind::huber, C);
  Vector s, ds, one;
  loss.transform(r, s);
  loss.slopes(r, ds);
  for (Index i = 0; i < 3; ++i) {
    Loss(LossKind::huber, C.segment(i, 1)).transform(r.segment(i, 1), one);
    CHECK(s[i] == one[0]);
    Loss(LossKind::huber, C.segment(i, 1)).slopes(r.segment(i, 1), one);
    CHECK(ds[i] == one[0]);
  }
  CHECK_THROWS_AS(loss.transform(vector({1, 2}), s), std::invalid_argument);
  CHECK_THROWS_AS(loss.slopes(vector({1, 2, 3, 4}), s), std::invalid_argument);
  CHECK_THROWS_AS(loss_kind("hubert"), std::invalid_argument);
}

TEST_CASE("loss: a problem with a loss is the plain problem of the transformed residuals") {
  const Vector t = Vector::LinSpaced(20, 0, 3);
  const auto r_of = [&](const Vector& x) { return Vector(x[0] * (-x[1] * t).array().exp() - 3 * t.array()); };
  const auto J_of = [&](const Vector& x) {
    Matrix J(20, 2);
    J.col(0) = (-x[1] * t).array().exp();
    J.col(1) = -x[0] * t.array() * J.col(0).array();
    return J;
  };
  fakes::FakeResidual residual([&](const Vector& x, Vector& r) { r = r_of(x); },
                               [&](const Vector& x, Matrix& J) { J = J_of(x); });
  const Vector x = vector({1.5, 0.7});
  for (const Known& known_loss : known) {
    CAPTURE(known_loss.name);
    const Loss loss(loss_kind(known_loss.name), Vector::Constant(1, 0.8));
    Host host;
    Problem problem(residual, 2, Form::triangle, host, loss);
    Value value;
    Point point;
    problem.value(x, value);
    REQUIRE(problem.linearise(value, point));
    Vector s, ds;
    loss.transform(r_of(x), s);
    loss.slopes(r_of(x), ds);
    CHECK(point.r == s);
    CHECK(point.cost == 0.5 * s.squaredNorm());
    CHECK(point.J == Matrix(ds.asDiagonal() * J_of(x)));
    if (!loss.linear()) CHECK(point.raw == r_of(x));
  }
}

TEST_CASE("loss: residuals that are not finite stay so, even where the loss is bounded") {
  fakes::FakeResidual residual([](const Vector&, Vector& r) { r = vector({1, infinity}); },
                               [](const Vector&, Matrix& J) { J = Matrix::Ones(2, 1); });
  Host host;
  Problem problem(residual, 1, Form::triangle, host, Loss(LossKind::tukey));
  Value value;
  problem.value(vector({1}), value);
  CHECK(value.cost == infinity);
}
