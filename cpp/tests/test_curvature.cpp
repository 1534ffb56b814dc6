// step/curvature: exact where r is quadratic, silent where it knows nothing.
#include <doctest/doctest.h>

#include <cmath>

#include "fakes.hpp"
#include "marquardt/step/curvature.hpp"

using namespace marquardt;
using fakes::vector;

namespace {

// r_i = x'Q_i x / 2 + b_i'x + c_i in n variables, whose second derivative along s is s'Q_i s everywhere.
struct Quadratic {
  std::vector<Matrix> Q;
  Matrix B;
  Vector c;

  static Quadratic random(Index m, Index n, unsigned seed) {
    fakes::Numbers numbers(seed);
    Quadratic q;
    for (Index i = 0; i < m; ++i) {
      const Matrix half = numbers.matrix(n, n);
      q.Q.push_back(half + half.transpose());
    }
    q.B = numbers.matrix(m, n);
    q.c = numbers.vector(m);
    return q;
  }

  Vector r(const Vector& x) const {
    Vector values = B * x + c;
    for (Index i = 0; i < c.size(); ++i) values[i] += 0.5 * x.dot(Q[static_cast<std::size_t>(i)] * x);
    return values;
  }
  Matrix J(const Vector& x) const {
    Matrix rows = B;
    for (Index i = 0; i < c.size(); ++i) rows.row(i) += (Q[static_cast<std::size_t>(i)] * x).transpose();
    return rows;
  }
  Vector along(const Vector& s) const {
    Vector values(c.size());
    for (Index i = 0; i < c.size(); ++i) values[i] = s.dot(Q[static_cast<std::size_t>(i)] * s);
    return values;
  }
  Point at(const Vector& x) const { return fakes::point_of(J(x), r(x), x); }
};

// A model and a factorisation of one point.
struct Here {
  Point point;
  Model model;
  Vector d;
  std::unique_ptr<Subproblem> subproblem = make_subproblem(SubproblemKind::qr);
  Vector v;

  Here(Point at, const Vector& scaling, double alpha) : point(std::move(at)), d(scaling) {
    model.set(point.rows, d, Vector::Zero(d.size()));
    subproblem->factor(model);
    subproblem->solve(alpha, v);
  }
};

Value value_at(const Quadratic& q, const Vector& x) {
  Value there;
  there.x = x;
  there.r = q.r(x);
  there.cost = 0.5 * there.r.squaredNorm();
  return there;
}

}  // namespace

TEST_CASE("curvature: a double zero is approached by 5/8 of the distance instead of 1/2") {
  // r = x^2 from 2 to 1: a = 2, the Gauss-Newton step is -1/2, r_vv = 1/2, w = -1/4
  const auto square = [](double x) {
    return fakes::point_of(Matrix::Constant(1, 1, 2 * x), vector({x * x}), vector({x}));
  };
  Curvature curvature;
  curvature.adopt(square(2), vector({1}));
  Here here(square(1), vector({1}), 0);
  curvature.adopt(here.point, here.d);
  Vector bent;
  double predicted = 0;
  REQUIRE(curvature.bend(here.model, *here.subproblem, here.v, bent, predicted));
  CHECK(bent[0] == doctest::Approx(-0.625));
  CHECK(predicted == doctest::Approx(0.5));  // 1 - 2 * 0.625 + 0.25 = 0: the whole cost
}

TEST_CASE("curvature: along its own step it is the second derivative, and the prediction is that of the curved model") {
  const Index m = 7, n = 3;
  const Quadratic q = Quadratic::random(m, n, 5);
  const Vector x0 = vector({0.3, -0.2, 0.1}), s = vector({0.02, 0.01, -0.03}), d = vector({1, 10, 0.1});
  Curvature curvature;
  curvature.adopt(q.at(x0), d);
  Here here(q.at(x0 + s), d, 1e3);
  curvature.adopt(here.point, here.d);
  // along s, so that beta^2 a is exact, and downhill, so that there is something to promise
  const Vector s_hat = s.cwiseQuotient(d);
  const Vector v = here.model.gradient().dot(s_hat) > 0 ? Vector(-0.7 * s_hat) : Vector(0.7 * s_hat);
  here.subproblem->solve(1e3, here.v);
  Vector bent;
  double predicted = 0;
  REQUIRE(curvature.bend(here.model, *here.subproblem, v, bent, predicted));
  const Vector r_vv = q.along(0.7 * s);
  const Matrix A = here.point.J.view() * d.asDiagonal();
  Matrix damped = A.transpose() * A;
  damped.diagonal().array() += 1e3;
  const Vector w = -damped.ldlt().solve(A.transpose() * r_vv);
  CHECK((bent - v - 0.5 * w).norm() <= 1e-10 * w.norm());
  const double left = 0.5 * (here.point.r + A * bent + 0.5 * r_vv).squaredNorm();
  CHECK(predicted == doctest::Approx(here.point.cost - left).epsilon(1e-10));
}

TEST_CASE("curvature: nothing is known at the first point, after forgetting, and after a step of no length") {
  const Quadratic q = Quadratic::random(4, 2, 6);
  const Vector x = vector({0.1, 0.2}), d = Vector::Ones(2);
  Here here(q.at(x), d, 1);
  Vector bent;
  double predicted = 0;
  const auto bends = [&](Curvature& c) { return c.bend(here.model, *here.subproblem, here.v, bent, predicted); };
  Curvature curvature;
  CHECK_FALSE(bends(curvature));
  curvature.adopt(here.point, d);
  CHECK_FALSE(bends(curvature));
  curvature.adopt(here.point, d);  // s = 0
  CHECK_FALSE(bends(curvature));
  curvature.adopt(q.at(vector({0.1001, 0.2001})), d);
  curvature.adopt(here.point, d);
  curvature.forget();
  CHECK_FALSE(bends(curvature));
}

TEST_CASE("curvature: a correction as long as the step is refused") {
  // r = x^2 + 1 near its minimum: the Gauss-Newton step from 0.01 goes to -50, the curvature along it outweighs it
  const auto hill = [](double x) {
    return fakes::point_of(Matrix::Constant(1, 1, 2 * x), vector({x * x + 1}), vector({x}));
  };
  Curvature curvature;
  curvature.adopt(hill(0.02), vector({1}));
  Here here(hill(0.01), vector({1}), 0);
  curvature.adopt(here.point, here.d);
  Vector bent;
  double predicted = 0;
  CHECK_FALSE(curvature.bend(here.model, *here.subproblem, here.v, bent, predicted));
}

TEST_CASE("curvature: a trial that it does not explain closes it, one that it explains opens it again") {
  const Quadratic q = Quadratic::random(5, 2, 7);
  const Vector d = Vector::Ones(2);
  Here here(q.at(vector({0.11, 0.22})), d, 100);
  const Vector s = here.v;  // the step before pointed the same way
  Curvature curvature;
  curvature.adopt(q.at(here.point.x - s), d);
  curvature.adopt(here.point, d);
  Vector bent;
  double predicted = 0;
  const auto bends = [&] { return curvature.bend(here.model, *here.subproblem, s, bent, predicted); };
  CHECK(bends());
  Value wrong = value_at(q, here.point.x + s);
  wrong.r -= 2 * (q.along(s));  // bends the other way
  curvature.learn(here.point, wrong);
  CHECK_FALSE(bends());
  curvature.learn(here.point, value_at(q, here.point.x + s));
  CHECK(bends());
}

TEST_CASE("curvature: a fixed variable, d = 0, takes no part") {
  const Quadratic q = Quadratic::random(5, 2, 8);
  const Vector d = vector({1, 0});
  Curvature curvature;
  curvature.adopt(q.at(vector({0.1, 0.2})), d);
  Here here(q.at(vector({0.11, 0.2})), d, 1);
  curvature.adopt(here.point, d);
  Vector bent;
  double predicted = 0;
  REQUIRE(curvature.bend(here.model, *here.subproblem, here.v, bent, predicted));
  CHECK(bent[1] == 0);
  CHECK(bent.allFinite());
  CHECK(std::isfinite(predicted));
}

TEST_CASE("curvature: the way back stops where r was seen to turn") {
  // r = (x - 1, 2 x^2): at 0 the Gauss-Newton step 1 overshoots; what the model missed is orthogonal to J
  const auto r = [](double x) { return vector({x - 1, 2 * x * x}); };
  Matrix J(2, 1);
  J << 1, 0;
  const Point at_zero = fakes::point_of(J, r(0), vector({0}));
  const Here here(at_zero, vector({1}), 0);
  Curvature curvature;
  curvature.adopt(here.point, here.d);
  Value there;
  there.x = vector({1});
  there.r = r(1);
  there.cost = 0.5 * there.r.squaredNorm();
  CHECK(there.cost > here.point.cost);
  curvature.learn(here.point, there);
  Vector back;
  double predicted = 0;
  REQUIRE(curvature.turn_back(here.point, here.model, *here.subproblem, vector({1}), back, predicted));
  // the first root of t - 1 + 8 t^3
  CHECK(back[0] - 1 + 8 * std::pow(back[0], 3) == doctest::Approx(0).epsilon(1e-9));
  CHECK(predicted == doctest::Approx(here.point.cost - 0.5 * r(back[0]).squaredNorm()).epsilon(1e-9));
}
