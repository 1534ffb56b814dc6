// problem/loss: each loss against its formula in extended precision.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fakes.hpp"
#include "marquardt/problem/loss.hpp"

using namespace marquardt;
using fakes::vector;

namespace {

using Long = long double;

struct Known {
  std::string name;
  std::function<Long(Long z)> rho, first, second;  // rho(z), rho'(z), rho''(z)
};

const std::vector<Known> known = {
    {"linear", [](Long z) { return z; }, [](Long) { return Long(1); }, [](Long) { return Long(0); }},
    {"soft_l1", [](Long z) { return 2 * z / (std::sqrt(1 + z) + 1); }, [](Long z) { return 1 / std::sqrt(1 + z); },
     [](Long z) { return -0.5L / (1 + z) / std::sqrt(1 + z); }},
    {"huber", [](Long z) { return z <= 1 ? z : 2 * std::sqrt(z) - 1; },
     [](Long z) { return z <= 1 ? Long(1) : 1 / std::sqrt(z); },
     [](Long z) { return z <= 1 ? Long(0) : -0.5L / z / std::sqrt(z); }},
    {"cauchy", [](Long z) { return std::log1p(z); }, [](Long z) { return 1 / (1 + z); },
     [](Long z) { return -1 / (1 + z) / (1 + z); }},
    {"arctan", [](Long z) { return std::atan(z); }, [](Long z) { return 1 / (1 + z * z); },
     [](Long z) { return -2 * z / (1 + z * z) / (1 + z * z); }},
    {"welsch", [](Long z) { return -std::expm1(-z); }, [](Long z) { return std::exp(-z); },
     [](Long z) { return -std::exp(-z); }},
    {"tukey", [](Long z) { return z <= 1 ? z * (1 - z + z * z / 3) : Long(1) / 3; },
     [](Long z) { return z <= 1 ? (1 - z) * (1 - z) : Long(0); },
     [](Long z) { return z <= 1 ? -2 * (1 - z) : Long(0); }},
};

// rho, rho' and rho'' from functions of the caller's, with a count of the calls.
struct Own : LossFunction {
  using Function = std::function<double(double)>;
  Own(Function rho, Function first, Function second)
      : rho_(std::move(rho)), first_(std::move(first)), second_(std::move(second)) {}
  void evaluate(const Vector& z, Vector& rho, Vector& first, Vector& second) override {
    ++calls;
    rho = z.unaryExpr(rho_);
    first = z.unaryExpr(first_);
    second = z.unaryExpr(second_);
  }
  Function rho_, first_, second_;
  int calls = 0;
};

double zero(double) { return 0; }
double one(double) { return 1; }

// soft_l1 by its formula: of a small rho nothing is left.
std::shared_ptr<Own> plain_soft_l1() {
  return std::make_shared<Own>([](double z) { return 2 * (std::sqrt(1 + z) - 1); },
                               [](double z) { return 1 / std::sqrt(1 + z); },
                               [](double z) { return -0.5 * std::pow(1 + z, -1.5); });
}

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
        const Long expected = loss.first(u * u) * u / std::sqrt(loss.rho(u * u));
        CHECK(static_cast<double>(std::abs(ds[i] - expected)) <= 1e-14 * static_cast<double>(std::abs(expected)));
      }
      CHECK(ds[i] >= 0);
      CHECK(ds[i] <= 1);
    }
  }
}

TEST_CASE("loss: the table's rho, rho', psi and psi' are those of the formulas") {
  for (const Known& loss : known) {
    CAPTURE(loss.name);
    for (const double v :
         {0.0, 1e-160, 1e-9, 1e-3, 0.3, 0.7, 0.999, 1.001, 1.5, 3.0, 20.0, 39.0, 41.0, 1e3, 1e7, 2e8}) {
      CAPTURE(v);
      const LossAt at = loss_at(loss_kind(loss.name), v);
      const Long z = Long(v) * v, first = loss.first(z), slope = first + 2 * z * loss.second(z);
      const auto near = [](double got, Long wanted, Long size) {
        return std::abs(got - wanted) <= 1e-14L * size + Long(std::numeric_limits<double>::min());
      };
      CHECK(near(at.rho, loss.rho(z), loss.rho(z)));
      CHECK(near(at.root, std::sqrt(loss.rho(z)), std::sqrt(loss.rho(z))));
      CHECK(near(at.weight, first, first * (1 + (loss.name == "welsch" ? z : 0))));  // exp(-z) has the error of z in it
      CHECK(near(at.psi, first * v, first * v * (1 + (loss.name == "welsch" ? z : 0))));
      CHECK(near(at.slope, slope, (first + 2 * z * std::abs(loss.second(z))) * (1 + (loss.name == "welsch" ? z : 0))));
    }
    const LossAt far = loss_at(loss_kind(loss.name), 1e300);
    for (const double number : {far.root, far.weight, far.psi, far.slope}) CHECK(std::isfinite(number));
  }
}

TEST_CASE("loss: a caller's own loss does what the built-in one does") {
  const Vector r = vector({0.1, -0.1, 0.5, -1, 1.001, 2, -30, 1e4, 1e6, -1e-3, 1e-5, 1e-8, -1e-12, 1e-160, 0});
  for (const double C : {1.0, 0.3}) {
    Loss own(plain_soft_l1(), Vector::Constant(1, C)), built_in(LossKind::soft_l1, Vector::Constant(1, C));
    Vector s, t, ds, dt;
    own.transform(r, s);
    built_in.transform(r, t);
    own.slopes(r, ds);
    built_in.slopes(r, dt);
    for (Index i = 0; i < r.size(); ++i) {
      CAPTURE(r[i]);
      // what subtracting 1 leaves: rho to a few roundings of 1, or its series to z^2
      const double z = r[i] / C * (r[i] / C), lost = z > 0 ? std::min(4 * epsilon / z, 1e-8) : 0;
      CHECK(std::abs(s[i] - t[i]) <= (lost + 4 * epsilon) * std::abs(t[i]));
      CHECK(std::abs(ds[i] - dt[i]) <= (lost + 4 * epsilon) * dt[i]);
      CHECK(std::signbit(s[i]) == std::signbit(r[i]));
    }
    CHECK(ds[r.size() - 1] == 1);
    CHECK_FALSE(own.linear());
  }
}

TEST_CASE("loss: a caller's own loss need not have slope 1 at zero, nor be smooth there") {
  const Vector r = vector({0.5, -1e-3, 1e-9, 0});
  Vector s, ds;
  Loss four(std::make_shared<Own>([](double z) { return 4 * z; }, [](double) { return 4.0; }, zero));
  four.transform(r, s);
  four.slopes(r, ds);
  CHECK(s == 2 * r);
  CHECK(ds == Vector::Constant(4, 2));
  // |u|: s = sqrt |u|, whatever the series says
  Loss absolute(std::make_shared<Own>([](double z) { return std::sqrt(z); },
                                      [](double z) { return 0.5 / std::sqrt(z); },
                                      [](double z) { return -0.25 / z / std::sqrt(z); }));
  absolute.transform(vector({0.25, -1e-4}), s);
  CHECK(s[0] == doctest::Approx(0.5).epsilon(1e-15));
  CHECK(s[1] == doctest::Approx(-0.01).epsilon(1e-15));
  // nothing up to 1
  Loss dead(std::make_shared<Own>([](double z) { return z > 1 ? (z - 1) * (z - 1) : 0; },
                                  [](double z) { return z > 1 ? 2 * (z - 1) : 0; },
                                  [](double z) { return z > 1 ? 2.0 : 0; }));
  dead.transform(vector({0.5, 2}), s);
  dead.slopes(vector({0.5, 2}), ds);
  CHECK(s == vector({0, 3}));
  CHECK(ds == vector({0, 4}));
}

TEST_CASE("loss: what is no loss is refused in a sentence") {
  Vector s;
  const auto message = [&](std::shared_ptr<LossFunction> own, const Vector& r) -> std::string {
    Loss loss(std::move(own));
    try {
      loss.transform(r, s);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message(std::make_shared<Own>([](double z) { return z > 0.01 ? -z : z; }, one, zero), vector({0.05, 0.2})) ==
        "loss must return rho(z) >= 0, got rho(0.04) = -0.04");
  CHECK(message(std::make_shared<Own>([](double z) { return 1 + z; }, one, zero), vector({3})) ==
        "loss must have rho(0) = 0, got rho(0) = 1");
  const Vector r = vector({0.05, 0.2});
  CHECK(message(plain_soft_l1(), r).empty());
  // a rho that is no number is the trial's fault
  CHECK(message(std::make_shared<Own>([](double z) { return z > 0.01 ? fakes::not_a_number : z; }, one, zero), r)
            .empty());
  CHECK(std::isnan(s[1]));
}

TEST_CASE("loss: a caller's own loss is asked once for a value, and once for its zero") {
  const auto own = plain_soft_l1();
  Loss loss(own);
  Vector s;
  loss.transform(vector({1, 2}), s);
  CHECK(own->calls == 2);
  loss.transform(vector({1, 2}), s);
  CHECK(own->calls == 3);
  loss.slopes(vector({1, 2}), s);
  CHECK(own->calls == 4);
  Loss short_of_scales(own, Vector::Ones(3));
  CHECK_THROWS_AS(short_of_scales.transform(vector({1, 2}), s), std::invalid_argument);
}

TEST_CASE("loss: a scale for each residual") {
  const Vector r = vector({3, -4, 5}), C = vector({1, 2, 10});
  Loss loss(LossKind::huber, C);
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
    Loss loss(loss_kind(known_loss.name), Vector::Constant(1, 0.8));
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
    CHECK(point.J.view() == Matrix(ds.asDiagonal() * J_of(x)));
    if (!loss.linear()) CHECK(point.raw == r_of(x));
  }
}

TEST_CASE("loss: an own loss whose slope is not finite leaves no Jacobian") {
  fakes::FakeResidual residual([](const Vector&, Vector& r) { r = vector({0, 1}); },
                               [](const Vector&, Matrix& J) { J = Matrix::Ones(2, 1); });
  const auto root =
      std::make_shared<Own>([](double z) { return std::sqrt(z); }, [](double z) { return 0.5 / std::sqrt(z); }, zero);
  for (const Form form : {Form::triangle, Form::gram}) {
    Host host;
    Problem problem(residual, 1, form, host, Loss(root));
    Value value;
    Point point;
    problem.value(vector({1}), value);
    CHECK(std::isfinite(value.cost));
    CHECK_FALSE(problem.linearise(value, point));
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
