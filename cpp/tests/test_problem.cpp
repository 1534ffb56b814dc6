// Problem: who is called how often, what NaN and infinity mean, and that the reduced rows say what the rows say.
#include <doctest/doctest.h>

#include <cmath>

#include "fakes.hpp"
#include "marquardt/problem/problem.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

constexpr Form forms[] = {Form::triangle, Form::gram};

double difference(const LongMatrix& a, const Matrix& b) {
  return static_cast<double>((a - b.cast<long double>()).cwiseAbs().maxCoeff());
}

}  // namespace

TEST_CASE("problem: each call of the user's functions is counted once") {
  FakeResidual residual = linear(Matrix::Identity(3, 3), Vector::Zero(3));
  Host host;
  Problem problem(residual, 3, Form::triangle, host);
  CHECK(problem.parameters() == 3);
  Value value;
  Point point;
  for (int k = 1; k <= 4; ++k) {
    problem.value(vector({1.0 * k, 2, 3}), value);
    CHECK(problem.counts().nfev == k);
    CHECK(residual.values == k);
  }
  CHECK(problem.counts().njev == 0);
  CHECK(problem.linearise(value, point));
  CHECK(problem.counts().nfev == 4);
  CHECK(problem.counts().njev == 1);
  CHECK(residual.jacobians == 1);
  CHECK(problem.counts().differences == 0);
}

TEST_CASE("problem: evaluations for differences are counted apart") {
  class Spends : public Residual {
   public:
    void value(const Vector& x, Vector& r) override { r = x; }
    void jacobian(const Vector& x, const Vector&, Jacobian& J) override {
      J.own().setIdentity(x.size(), x.size());
      spent += 7;
    }
    Index difference_evaluations() const override { return spent; }
    double derivative_error() const override { return 0.25; }
    Index spent = 0;
  } residual;
  Host host;
  Problem problem(residual, 2, Form::triangle, host);
  Value value;
  Point point;
  problem.value(vector({1, 1}), value);
  problem.linearise(value, point);
  problem.linearise(value, point);
  CHECK(problem.counts().nfev == 1);
  CHECK(problem.counts().njev == 2);
  CHECK(problem.counts().differences == 14);
  CHECK(problem.derivative_error() == 0.25);
}

TEST_CASE("problem: the value holds x and r and half the sum of squares") {
  FakeResidual residual = linear(Matrix::Identity(2, 2), vector({1, 5}));
  Host host;
  Problem problem(residual, 2, Form::triangle, host);
  Value value;
  problem.value(vector({4, 1}), value);
  CHECK(value.x == vector({4, 1}));
  CHECK(value.r == vector({3, -4}));
  CHECK(value.cost == 12.5);
}

TEST_CASE("problem: residuals that are not finite cost infinity") {
  Host host;
  for (const double bad : {not_a_number, infinity, -infinity, 1e200}) {  // the square of 1e200 overflows
    for (const Index where : {0, 2}) {
      CAPTURE(bad);
      CAPTURE(where);
      FakeResidual residual(
          [&](const Vector&, Vector& r) {
            r = vector({1, 2, 3});
            r[where] = bad;
          },
          {});
      Problem problem(residual, 1, Form::triangle, host);
      Value value;
      value.cost = 1;
      problem.value(vector({0}), value);
      CHECK(value.cost == infinity);
      CHECK(problem.counts().nfev == 1);
    }
  }
}

TEST_CASE("problem: a failing residual leaves no finite cost behind") {
  int call = 0;
  FakeResidual residual(
      [&](const Vector&, Vector& r) {
        if (++call == 2) throw std::runtime_error("user");
        r = vector({1});
      },
      {});
  Host host;
  Problem problem(residual, 1, Form::triangle, host);
  Value value;
  problem.value(vector({0}), value);
  CHECK(value.cost == 0.5);
  CHECK_THROWS_AS(problem.value(vector({1}), value), std::runtime_error);
  CHECK(value.cost == infinity);
  CHECK(problem.counts().nfev == 2);
}

TEST_CASE("problem: a Jacobian that is not finite is refused and counted") {
  Host host;
  for (const Form form : forms) {
    for (const double bad : {not_a_number, infinity, -infinity}) {
      CAPTURE(bad);
      FakeResidual residual([](const Vector&, Vector& r) { r = vector({1, 2, 3}); },
                            [&](const Vector&, Matrix& J) {
                              J.setOnes(3, 2);
                              J(2, 1) = bad;
                            });
      Problem problem(residual, 2, form, host);
      Value value;
      Point point;
      problem.value(vector({0, 0}), value);
      CHECK_FALSE(problem.linearise(value, point));
      CHECK(problem.counts().njev == 1);
    }
  }
}

TEST_CASE("problem: an overflow of the gradient is refused") {
  Host host;
  for (const Form form : forms) {
    FakeResidual residual([](const Vector&, Vector& r) { r = vector({1e150, 1e150}); },
                          [](const Vector&, Matrix& J) { J.setConstant(2, 2, 1e200); });
    Problem problem(residual, 2, form, host);
    Value value;
    Point point;
    problem.value(vector({0, 0}), value);
    REQUIRE(std::isfinite(value.cost));
    CHECK_FALSE(problem.linearise(value, point));
  }
}

TEST_CASE("problem: rows that are handed on are finite") {
  Host host;
  for (const Form form : forms) {  // J'r is finite but the squares of J are not
    CAPTURE(form == Form::gram);
    FakeResidual residual([](const Vector&, Vector& r) { r = vector({1, 2}); },
                          [](const Vector&, Matrix& J) { J = 1e200 * Matrix::Identity(2, 2); });
    Problem problem(residual, 2, form, host);
    Value value;
    Point point;
    problem.value(vector({0, 0}), value);
    if (problem.linearise(value, point)) {
      CHECK(point.rows.g.allFinite());
      CHECK(point.rows.column_norms.allFinite());
      CHECK(point.rows.R.allFinite());
      CHECK(point.rows.H.allFinite());
    }
  }
}

TEST_CASE("problem: the reduced rows equal a reduction in higher precision") {
  Numbers numbers(3);
  Host host;
  for (const auto& shape : std::vector<std::pair<Index, Index>>{{1, 1}, {5, 1}, {1, 4}, {3, 5}, {4, 4}, {200, 6}}) {
    const Index m = shape.first, n = shape.second;
    const Matrix A = numbers.matrix(m, n);
    const Vector r = 3 * numbers.vector(m);
    const LongMatrix J = A.cast<long double>(), H = J.transpose() * J, g = J.transpose() * r.cast<long double>();
    const double size = std::max(1.0, static_cast<double>(m)), tolerance = 4 * size * epsilon;
    for (const Form form : forms) {
      CAPTURE(m);
      CAPTURE(n);
      const Point point = point_of(A, r, Vector::Ones(n), form);
      CHECK(point.J.view() == A);
      CHECK(point.r == r);
      CHECK(point.x == Vector::Ones(n));
      CHECK(point.rows.form == form);
      CHECK(point.rows.rows == m);
      CHECK(difference(g, point.g()) <= 3 * tolerance);
      CHECK(point.rows.rr == doctest::Approx(r.squaredNorm()).epsilon(tolerance));
      for (Index j = 0; j < n; ++j) {
        CHECK(point.rows.column_norms[j] == doctest::Approx(A.col(j).norm()).epsilon(tolerance));
      }
      if (form == Form::triangle) {
        const LongMatrix R = point.rows.R.cast<long double>(), z = point.rows.z.cast<long double>();
        CHECK(difference(R.transpose() * R, Matrix(H.cast<double>())) <= tolerance);
        CHECK(difference(R.transpose() * z, Vector(g.cast<double>())) <= 3 * tolerance);
        CHECK(Matrix(point.rows.R.triangularView<Eigen::StrictlyLower>()).cwiseAbs().maxCoeff() == 0);
      } else {
        CHECK(difference(H, point.rows.H) <= tolerance);
      }
    }
  }
}

TEST_CASE("problem: a second linearisation owes nothing to the first") {
  Numbers numbers(4);
  const Matrix A = numbers.matrix(6, 3), B = numbers.matrix(6, 3);
  const Matrix* now = &A;
  FakeResidual residual([](const Vector&, Vector& r) { r.setOnes(6); }, [&](const Vector&, Matrix& J) { J = *now; });
  Host host;
  for (const Form form : forms) {
    Problem problem(residual, 3, form, host);
    Value value;
    Point point, fresh;
    now = &A;
    problem.value(Vector::Zero(3), value);
    CHECK(problem.linearise(value, point));
    now = &B;
    CHECK(problem.linearise(value, point));
    fresh = point_of(B, Vector::Ones(6), Vector::Zero(3), form);
    CHECK(point.g() == fresh.g());
    CHECK(point.rows.column_norms == fresh.rows.column_norms);
  }
}

TEST_CASE("problem: the point carries the length of r and the size of its terms") {
  Matrix A(3, 2);
  A << 3, 0, 4, 0, 0, 2;
  const Point point = point_of(A, vector({2, 3, 6}), vector({-10, 0.5}));
  CHECK(point.norm_r == doctest::Approx(7));
  CHECK(point.terms == doctest::Approx(5 * 10 + 2 * 0.5));
  CHECK(point.noise() == doctest::Approx(4 * epsilon * 51));
}

TEST_CASE("problem: the host hears of the reduction and of nothing while the user's functions run") {
  FakeObserver host;
  bool during = false;
  const auto running = [&] { during = during || host.begun != host.ended; };
  FakeResidual residual(
      [&](const Vector&, Vector& r) {
        running();
        r.setOnes(10);
      },
      [&](const Vector&, Matrix& J) {
        running();
        J.setOnes(10, 3);
      });
  Problem problem(residual, 3, Form::triangle, host);
  Value value;
  Point point;
  problem.value(Vector::Zero(3), value);
  CHECK(host.begun == 0);
  problem.linearise(value, point);
  CHECK(host.begun == 1);
  CHECK(host.ended == 1);
  CHECK_FALSE(during);
  CHECK(host.most_flops == doctest::Approx(2 * 10 * 3 * 4));
}

TEST_CASE("problem: cost_fall keeps the digits that a difference of costs loses") {
  Value a, b;
  a.r = vector({1e8, 1});
  b.r = vector({1e8, 1 - std::ldexp(1.0, -30)});  // exact in binary
  a.cost = 0.5 * a.r.squaredNorm();
  b.cost = 0.5 * b.r.squaredNorm();
  const double step = std::ldexp(1.0, -30), truth = 0.5 * step * (2 - step);
  CHECK(a.cost - b.cost == 0);  // what a plain difference has left
  CHECK(cost_fall(a, b) == doctest::Approx(truth).epsilon(1e-14));
  CHECK(cost_fall(b, a) == doctest::Approx(-truth).epsilon(1e-14));
  CHECK(cost_fall(a, a) == 0);
}

TEST_CASE("problem: the fall to a point that is not finite is minus infinity") {
  Value a, b;
  a.r = vector({1, 2});
  a.cost = 2.5;
  for (const double bad : {not_a_number, infinity}) {
    b.r = vector({1, bad});
    b.cost = infinity;
    CHECK(cost_fall(a, b) == -infinity);
  }
  b.r.resize(0);  // never evaluated
  CHECK(cost_fall(a, b) == -infinity);
}
