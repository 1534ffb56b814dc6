// Differences: against derivatives known in closed form with the error that theory allows, and by the points evaluated.
#include <doctest/doctest.h>

#include <cmath>
#include <complex>
#include <string>

#include "fakes.hpp"
#include "marquardt/problem/difference.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

using Complexes = Eigen::VectorXcd;

const Scheme schemes[] = {Scheme::two_point, Scheme::three_point, Scheme::complex_step};
const Scheme real_schemes[] = {Scheme::two_point, Scheme::three_point};

std::string name(Scheme scheme) {
  return scheme == Scheme::two_point ? "2-point" : scheme == Scheme::three_point ? "3-point" : "complex";
}

Index per_column(Scheme scheme) { return scheme == Scheme::three_point ? 2 : 1; }

// The relative step that balances truncation against rounding: eps^1/2 forward, eps^1/3 central.
double power(Scheme scheme) { return scheme == Scheme::two_point ? std::sqrt(epsilon) : std::cbrt(epsilon); }

struct Measured {
  Vector r;
  Matrix J;
};

Measured measure(Differenced& differenced, const Vector& x) {
  Measured out;
  differenced.value(x, out.r);
  Jacobian filled;
  differenced.jacobian(x, out.r, filled);
  out.J = filled.view();
  return out;
}

Matrix jacobian(FakeFunction& function, Scheme scheme, const Vector& x, const Box& feasible) {
  Differenced differenced(function, scheme, feasible, true);
  return measure(differenced, x).J;
}

Matrix jacobian(FakeFunction& function, Scheme scheme, const Vector& x) {
  return jacobian(function, scheme, x, Box::infinite(x.size()));
}

// A scalar function with its derivatives, real and complex.
struct Curve {
  std::string name;
  std::function<double(double)> f, d1, d2, d3;
  std::function<std::complex<double>(std::complex<double>)> z;
};

const std::vector<Curve>& curves() {
  using C = std::complex<double>;
  static const std::vector<Curve> list = {
      {"x^4 - 3x + 1", [](double x) { return x * x * x * x - 3 * x + 1; }, [](double x) { return 4 * x * x * x - 3; },
       [](double x) { return 12 * x * x; }, [](double x) { return 24 * x; },
       [](C x) { return x * x * x * x - 3.0 * x + 1.0; }},
      {"exp(x)", [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); },
       [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); }, [](C x) { return std::exp(x); }},
      {"x^2", [](double x) { return x * x; }, [](double x) { return 2 * x; }, [](double) { return 2.0; },
       [](double) { return 0.0; }, [](C x) { return x * x; }},
      {"sin(x)", [](double x) { return std::sin(x); }, [](double x) { return std::cos(x); },
       [](double x) { return -std::sin(x); }, [](double x) { return -std::cos(x); }, [](C x) { return std::sin(x); }},
  };
  return list;
}

FakeFunction function_of(const Curve& curve) {
  return FakeFunction([f = curve.f](const Vector& x) { return vector({f(x[0])}); },
                      [z = curve.z](const Complexes& x) { return Complexes::Constant(1, z(x[0])); });
}

// r(x) = A x + b
FakeFunction affine(const Matrix& A, const Vector& b) {
  return FakeFunction([A, b](const Vector& x) { return Vector(A * x + b); },
                      [A, b](const Complexes& x) {
                        return Complexes(A.cast<std::complex<double>>() * x + b.cast<std::complex<double>>());
                      });
}

FakeFunction identity() {
  return FakeFunction([](const Vector& x) { return x; }, [](const Complexes& x) { return x; });
}

// The steps in variable j at every point where it moved.
std::vector<double> steps(const FakeFunction& function, const Vector& x, Index j) {
  std::vector<double> out;
  for (const Matrix& X : function.calls) {
    for (Index k = 0; k < X.cols(); ++k) {
      if (X(j, k) != x[j]) out.push_back(X(j, k) - x[j]);
    }
  }
  return out;
}

void check_inside(const FakeFunction& function, const Box& feasible) {
  for (const Matrix& X : function.calls) {
    for (Index k = 0; k < X.cols(); ++k) CHECK(feasible.contains(X.col(k)));
  }
}

}  // namespace

// ---------------------------------------------------------------------------------------------- accuracy

TEST_CASE("difference: forward differences are as good as theory allows") {
  for (const Curve& curve : curves()) {
    for (const double x : {-3.0, -0.7, 1e-3, 0.4, 1.0, 5.0, 20.0}) {
      CAPTURE(curve.name);
      CAPTURE(x);
      FakeFunction function = function_of(curve);
      const double h = power(Scheme::two_point) * std::abs(x);
      const double truncation = 0.5 * h * std::max(std::abs(curve.d2(x)), std::abs(curve.d2(x + 2 * h)));
      // two values of a few units of rounding each (the sum inside cancels), divided by h
      const double rounding =
          8 * epsilon * (std::abs(curve.f(x)) + std::abs(x * curve.d1(x)) + 3 * std::abs(x) + 1) / h;
      CHECK(std::abs(jacobian(function, Scheme::two_point, vector({x}))(0, 0) - curve.d1(x)) <=
            1.01 * truncation + rounding);
    }
  }
}

TEST_CASE("difference: central differences are as good as theory allows") {
  for (const Curve& curve : curves()) {
    for (const double x : {-3.0, -0.7, 1e-3, 0.4, 1.0, 5.0, 20.0}) {
      CAPTURE(curve.name);
      CAPTURE(x);
      FakeFunction function = function_of(curve);
      const double h = power(Scheme::three_point) * std::abs(x);
      const double truncation =
          h * h / 6 * std::max({std::abs(curve.d3(x - h)), std::abs(curve.d3(x)), std::abs(curve.d3(x + h))});
      const double rounding =
          8 * epsilon * (std::abs(curve.f(x)) + std::abs(x * curve.d1(x)) + 3 * std::abs(x) + 1) / h;
      CHECK(std::abs(jacobian(function, Scheme::three_point, vector({x}))(0, 0) - curve.d1(x)) <=
            1.01 * truncation + rounding);
    }
  }
}

TEST_CASE("difference: one-sided parabolas at a wall are as good as theory allows") {
  for (const Curve& curve : curves()) {
    for (const double x : {-3.0, -0.7, 0.4, 1.0, 5.0, 20.0}) {
      for (const bool upper : {false, true}) {
        CAPTURE(curve.name);
        CAPTURE(x);
        CAPTURE(upper);
        FakeFunction function = function_of(curve);
        const Box feasible = upper ? box({-100}, {x}) : box({x}, {100});
        const double h = power(Scheme::three_point) * std::abs(x), outer = upper ? x - 2 * h : x + 2 * h;
        const double truncation = h * h / 3 * std::max(std::abs(curve.d3(x)), std::abs(curve.d3(outer)));
        const double rounding =
            24 * epsilon * (std::abs(curve.f(x)) + std::abs(x * curve.d1(x)) + 3 * std::abs(x) + 1) / h;
        CHECK(std::abs(jacobian(function, Scheme::three_point, vector({x}), feasible)(0, 0) - curve.d1(x)) <=
              1.05 * truncation + rounding);
        check_inside(function, feasible);
      }
    }
  }
}

TEST_CASE("difference: the complex step is exact to rounding") {
  for (const Curve& curve : curves()) {
    for (const double x : {-3.0, -0.7, 1e-7, 1e-3, 0.0, 0.4, 1.0, 5.0, 20.0}) {
      CAPTURE(curve.name);
      CAPTURE(x);
      FakeFunction function = function_of(curve);
      const double scale = std::abs(curve.d1(x)) + std::abs(x * curve.d2(x)) + 3;
      CHECK(std::abs(jacobian(function, Scheme::complex_step, vector({x}))(0, 0) - curve.d1(x)) <= 8 * epsilon * scale);
    }
  }
}

TEST_CASE("difference: an affine function has its own matrix whatever the layout of the calls") {
  Numbers numbers(1);
  const Matrix A = numbers.matrix(6, 4);
  const Vector b = numbers.vector(6), x = vector({0.5, -2, 3, 1});
  for (const Scheme scheme : schemes) {
    for (const bool together : {false, true}) {
      CAPTURE(name(scheme));
      CAPTURE(together);
      FakeFunction function = affine(A, b);
      Differenced differenced(function, scheme, Box::infinite(4), together);
      const double tolerance = scheme == Scheme::complex_step ? 1e-15 : 50 * epsilon / power(scheme);
      CHECK((measure(differenced, x).J - A).cwiseAbs().maxCoeff() <= tolerance);
    }
  }
}

TEST_CASE("difference: the error promised is the error to expect") {
  FakeFunction function = identity();
  const auto promised = [&](Scheme scheme) {
    return Differenced(function, scheme, Box::infinite(1), true).derivative_error();
  };
  CHECK(promised(Scheme::two_point) == doctest::Approx(std::sqrt(epsilon)));
  CHECK(promised(Scheme::three_point) == doctest::Approx(std::pow(epsilon, 2.0 / 3)));
  CHECK(promised(Scheme::complex_step) == epsilon);
}

// ------------------------------------------------------------------------------------------ step lengths

TEST_CASE("difference: the step is relative to the parameter's own size") {
  const Vector x = vector({1e-7, 1, 1e5, -1e-7, -1, -1e5});
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    // each parameter matters as much as the others
    FakeFunction function([&](const Vector& y) { return Vector(y.cwiseQuotient(x)); });
    Differenced differenced(function, scheme, Box::infinite(x.size()), true);
    for (const int time : {1, 2}) {  // the second Jacobian knows the first one's columns
      CAPTURE(time);
      function.calls.clear();
      measure(differenced, x);
      for (Index j = 0; j < x.size(); ++j) {
        CAPTURE(x[j]);
        const std::vector<double> made = steps(function, x, j);
        CHECK(made.size() == static_cast<std::size_t>(per_column(scheme)));
        for (const double h : made) {
          const double relative = std::abs(h) / (power(scheme) * std::abs(x[j]));
          CHECK(relative >= 0.5);
          CHECK(relative <= 2);
        }
      }
    }
  }
}

TEST_CASE("difference: the complex step is relative and tiny") {
  const Vector x = vector({1e-7, 1, 1e5, 0});
  FakeFunction function = identity();
  jacobian(function, Scheme::complex_step, x);
  REQUIRE(function.complex_calls.size() == 1);
  const Eigen::MatrixXcd& X = function.complex_calls[0];
  CHECK((X.real().colwise() - x).cwiseAbs().maxCoeff() == 0);
  for (Index j = 0; j < x.size(); ++j) {
    CHECK(X(j, j).imag() > 0);
    CHECK(X(j, j).imag() <= 1e-15 * (x[j] == 0 ? 1 : x[j]));
    CHECK(X.col(j).imag().cwiseAbs().sum() == X(j, j).imag());
  }
}

TEST_CASE("difference: a parameter of little effect gets a longer step once the columns are known") {
  // r = (1000 x0, x1) at (1, 1e-4): the terms have size 1000, x1 moves r by 1e-4
  Matrix A(2, 2);
  A << 1000, 0, 0, 1;
  const Vector x = vector({1, 1e-4});
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    FakeFunction function = affine(A, Vector::Zero(2));
    Differenced differenced(function, scheme, Box::infinite(2), true);
    measure(differenced, x);
    function.calls.clear();
    const Matrix J = measure(differenced, x).J;
    for (const double h : steps(function, x, 1)) {
      CHECK(std::abs(h) >= 100 * power(scheme) * x[1]);
      CHECK(std::abs(h) <= 1.01 * power(scheme));  // never longer than for a parameter of size 1
    }
    for (const double h : steps(function, x, 0)) CHECK(std::abs(h) <= 1.01 * power(scheme));
    CHECK((J - A).cwiseAbs().maxCoeff() <= 1e-5);
  }
}

TEST_CASE("difference: a parameter at zero") {
  FakeFunction plain([](const Vector& x) { return vector({x[0] - 3, 2 * x[0] + 1}); });
  // a step for a parameter of size 1 would miss the slope by far
  FakeFunction steep([](const Vector& x) { return vector({1, 1e8 * x[0] + std::pow(1e8 * x[0], 3)}); });
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    const Matrix J = jacobian(plain, scheme, vector({0}));
    CHECK(J(0, 0) == doctest::Approx(1).epsilon(1e-6));
    CHECK(J(1, 0) == doctest::Approx(2).epsilon(1e-6));
    CHECK(jacobian(steep, scheme, vector({0}))(1, 0) == doctest::Approx(1e8).epsilon(1e-3));
  }
}

TEST_CASE("difference: a parameter at zero in a steep exponential") {
  // a step for a parameter of size 1 overshoots so far that the correction by the slope found undershoots
  FakeFunction function([](const Vector& x) { return vector({std::exp(1e8 * x[0])}); });
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    CHECK(jacobian(function, scheme, vector({0}))(0, 0) == doctest::Approx(1e8).epsilon(1e-2));
  }
}

TEST_CASE("difference: a parameter at zero on a wall stays on its side") {
  for (const Scheme scheme : real_schemes) {
    for (const bool upper : {false, true}) {
      CAPTURE(name(scheme));
      CAPTURE(upper);
      FakeFunction function([](const Vector& x) { return vector({std::exp(x[0]), 3 * x[0]}); });
      const Box feasible = upper ? box({-1}, {0}) : box({0}, {1});
      const Matrix J = jacobian(function, scheme, vector({0}), feasible);
      CHECK(J(0, 0) == doctest::Approx(1).epsilon(1e-6));
      CHECK(J(1, 0) == doctest::Approx(3).epsilon(1e-6));
      check_inside(function, feasible);
    }
  }
}

TEST_CASE("difference: a column lost in the rounding of r is measured with longer steps") {
  // r = 1000 + x at x = 1e-6: the first step changes nothing in the last digit of 1000
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    FakeFunction function([](const Vector& x) { return vector({1000 + x[0]}); });
    Differenced differenced(function, scheme, Box::infinite(1), true);
    const Matrix J = measure(differenced, vector({1e-6})).J;
    CHECK(J(0, 0) == doctest::Approx(1).epsilon(1e-4));
    CHECK(function.calls.size() > 1);
    CHECK(differenced.difference_evaluations() == function.columns());
  }
}

TEST_CASE("difference: a parameter without any effect has a zero column after few calls") {
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    FakeFunction function([](const Vector& x) { return vector({x[0], 2 * x[0]}); });
    Differenced differenced(function, scheme, Box::infinite(2), true);
    const Matrix J = measure(differenced, vector({1, 1e-3})).J;
    CHECK(J.col(1).cwiseAbs().maxCoeff() == 0);
    CHECK(J(0, 0) == doctest::Approx(1));
    CHECK(function.columns() <= 8 * per_column(scheme));
  }
}

TEST_CASE("difference: parameters near the smallest numbers still have a finite derivative") {
  for (const double x : {1e-300, 1e-310, 1e-320, 0.0}) {
    for (const Scheme scheme : schemes) {
      CAPTURE(name(scheme));
      CAPTURE(x);
      FakeFunction function([](const Vector& y) { return vector({2 * y[0] - 1}); },
                            [](const Complexes& y) { return Complexes::Constant(1, 2.0 * y[0] - 1.0); });
      const double J = jacobian(function, scheme, vector({x}))(0, 0);
      CHECK(J == doctest::Approx(2).epsilon(1e-3));
    }
  }
}

// ------------------------------------------------------------------------------------------------ bounds

TEST_CASE("difference: every point lies in the box and the derivative is right at every distance from a wall") {
  const double h = 2 * std::cbrt(epsilon);  // room that both schemes need at |x| = 1
  for (const Scheme scheme : real_schemes) {
    for (const double x : {1.0, -1.0}) {
      for (const double room : {0.0, epsilon, 1e-12, 1e-9, 0.3 * h, 0.9 * h, 1.1 * h, 1.0}) {
        for (const bool upper : {false, true}) {
          CAPTURE(name(scheme));
          CAPTURE(x);
          CAPTURE(room);
          CAPTURE(upper);
          FakeFunction function([](const Vector& y) { return vector({std::exp(y[0])}); });
          const Box feasible = upper ? box({x - 2}, {x + room}) : box({x - room}, {x + 2});
          CHECK(jacobian(function, scheme, vector({x}), feasible)(0, 0) == doctest::Approx(std::exp(x)).epsilon(1e-7));
          check_inside(function, feasible);
        }
      }
    }
  }
}

TEST_CASE("difference: a narrow box limits the step and the derivative stays usable") {
  for (const Scheme scheme : real_schemes) {
    for (const double width : {1e-3, 1e-6, 1e-9, 1e-12}) {
      for (const double place : {0.0, 0.25, 0.5, 1.0}) {
        CAPTURE(name(scheme));
        CAPTURE(width);
        CAPTURE(place);
        FakeFunction function([](const Vector& y) { return vector({3 * y[0] - 2}); });
        const Box feasible = {vector({1 - place * width}), vector({1 + (1 - place) * width})};
        const double J = jacobian(function, scheme, vector({1}), feasible)(0, 0);
        // values near 1 round at eps; half of the width at least is usable, a quarter by each step of a parabola
        CHECK(std::abs(J - 3) <= 1e-7 + 100 * epsilon / std::min(width, power(scheme)));
        check_inside(function, feasible);
      }
    }
  }
}

TEST_CASE("difference: a box of a few units of rounding still gives a finite derivative") {
  for (const Scheme scheme : real_schemes) {
    for (const int units : {1, 2, 3, 4}) {
      for (int place = 0; place <= units; ++place) {
        CAPTURE(name(scheme));
        CAPTURE(units);
        CAPTURE(place);
        FakeFunction function = identity();
        const Box feasible = box({1}, {1 + units * epsilon});
        const double J = jacobian(function, scheme, vector({1 + place * epsilon}), feasible)(0, 0);
        CHECK(J == doctest::Approx(1));  // differences of neighbouring numbers are exact
        check_inside(function, feasible);
      }
    }
  }
}

TEST_CASE("difference: a fixed variable is never moved and its column is zero") {
  const Vector x = vector({0.5, 2, -1});
  const Box feasible = box({-5, 2, -5}, {5, 2, 5});
  for (const Scheme scheme : schemes) {
    for (const bool together : {false, true}) {
      CAPTURE(name(scheme));
      CAPTURE(together);
      FakeFunction function([](const Vector& y) { return vector({y[0] * y[1], y[1] + y[2]}); },
                            [](const Complexes& y) {
                              Complexes r(2);
                              r << y[0] * y[1], y[1] + y[2];
                              return r;
                            });
      Differenced differenced(function, scheme, feasible, together);
      const Matrix J = measure(differenced, x).J;
      CHECK(J.col(1).cwiseAbs().maxCoeff() == 0);
      CHECK(J(0, 0) == doctest::Approx(2).epsilon(1e-6));
      CHECK(J(1, 2) == doctest::Approx(1).epsilon(1e-6));
      CHECK(steps(function, x, 1).empty());
      for (const Eigen::MatrixXcd& X : function.complex_calls) {
        for (Index k = 0; k < X.cols(); ++k) CHECK(X(1, k) == std::complex<double>(2, 0));
      }
      CHECK(differenced.difference_evaluations() == 2 * per_column(scheme));
    }
  }
}

TEST_CASE("difference: with every variable fixed nothing is evaluated") {
  for (const Scheme scheme : schemes) {
    CAPTURE(name(scheme));
    FakeFunction function = identity();
    Differenced differenced(function, scheme, box({1, 2}, {1, 2}), true);
    const Matrix J = measure(differenced, vector({1, 2})).J;
    CHECK(J.rows() == 2);
    CHECK(J.cwiseAbs().maxCoeff() == 0);
    CHECK(function.columns() == 0);
    CHECK(differenced.difference_evaluations() == 0);
  }
}

// ------------------------------------------------------------------------------------------- calls, counts

TEST_CASE("difference: together makes one call a Jacobian and one by one makes one a parameter") {
  const Vector x = vector({1, 2, 3});
  for (const Scheme scheme : schemes) {
    CAPTURE(name(scheme));
    for (const bool together : {true, false}) {
      CAPTURE(together);
      FakeFunction function = identity();
      Differenced differenced(function, scheme, Box::infinite(3), together);
      for (Index time = 1; time <= 3; ++time) {
        measure(differenced, x);
        const auto calls = static_cast<Index>(function.calls.size() + function.complex_calls.size());
        CHECK(calls == time * (together ? 1 : 3));
        CHECK(function.columns() == time * 3 * per_column(scheme));
        CHECK(differenced.difference_evaluations() == function.columns());
      }
    }
  }
}

TEST_CASE("difference: one by one and together give the same numbers") {
  Numbers numbers(2);
  const Matrix A = numbers.matrix(5, 3);
  const Vector x = vector({0.3, -4, 50});
  for (const Scheme scheme : schemes) {
    CAPTURE(name(scheme));
    FakeFunction function(
        [&](const Vector& y) { return Vector((A * y).array().sin()); },
        [&](const Complexes& y) { return Complexes((A.cast<std::complex<double>>() * y).array().sin()); });
    Differenced one(function, scheme, Box::infinite(3), false), all(function, scheme, Box::infinite(3), true);
    CHECK(measure(one, x).J == measure(all, x).J);
  }
}

TEST_CASE("difference: the values pass through untouched") {
  FakeFunction function([](const Vector& x) { return vector({x[0], not_a_number, infinity}); });
  Differenced differenced(function, Scheme::two_point, Box::infinite(1), true);
  Vector r;
  differenced.value(vector({4}), r);
  CHECK(r[0] == 4);
  CHECK(std::isnan(r[1]));
  CHECK(r[2] == infinity);
  CHECK(differenced.difference_evaluations() == 0);
}

// -------------------------------------------------------------------------------------------- not finite

TEST_CASE("difference: where one side is not finite the other side is used") {
  for (const Scheme scheme : real_schemes) {
    for (const double sign : {1.0, -1.0}) {
      for (const double x : {1.0, -1.0}) {
        CAPTURE(name(scheme));
        CAPTURE(sign);
        CAPTURE(x);
        // defined for sign y <= sign x only, and smooth there
        FakeFunction function(
            [&](const Vector& y) { return vector({sign * (y[0] - x) <= 0 ? std::exp(y[0]) : not_a_number}); });
        const double J = jacobian(function, scheme, vector({x}))(0, 0);
        CHECK(J == doctest::Approx(std::exp(x)).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("difference: the good columns survive a bad one") {
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    FakeFunction function([](const Vector& y) {
      return vector({y[1] == 2 ? y[0] : not_a_number, 3 * y[0]});  // defined on the line y1 = 2 only
    });
    const Matrix J = jacobian(function, scheme, vector({1, 2}));
    CHECK(J(0, 0) == doctest::Approx(1).epsilon(1e-6));
    CHECK(J(1, 0) == doctest::Approx(3).epsilon(1e-6));
    CHECK_FALSE(J.col(1).allFinite());  // said, not hidden: the Problem refuses it
  }
}

TEST_CASE("difference: a longer step into nowhere keeps the shorter one") {
  // 1000 + x, undefined above 1e-5: the lost column cannot be lengthened far
  for (const Scheme scheme : real_schemes) {
    CAPTURE(name(scheme));
    FakeFunction function([](const Vector& y) { return vector({std::abs(y[0]) < 1e-5 ? 1e6 + y[0] : not_a_number}); });
    CHECK(jacobian(function, scheme, vector({1e-6})).allFinite());
  }
}

// ------------------------------------------------------------------------- near the last central differences

namespace {

// exp(x_j) and x_j^3 for each parameter: no derivative of theirs vanishes.
FakeFunction bent() {
  return FakeFunction([](const Vector& x) {
    Vector r(2 * x.size());
    r << x.array().exp(), x.array().cube();
    return r;
  });
}

Matrix bent_jacobian(const Vector& x) {
  Matrix J(2 * x.size(), x.size());
  J << Matrix(x.array().exp().matrix().asDiagonal()), Matrix((3 * x.array().square()).matrix().asDiagonal());
  return J;
}

// Central differences of the scheme that chooses, at x.
Differenced refined_at(FakeFunction& function, const Vector& x, const Box& box, bool together = true) {
  Differenced differenced(function, Scheme::automatic, box, together);
  differenced.refine();
  measure(differenced, x);
  return differenced;
}

}  // namespace

TEST_CASE("difference: where x has hardly moved, central differences cost one evaluation a parameter") {
  const Vector x = vector({1.5, -2, 0.75});
  for (const bool together : {true, false}) {
    for (const double moved : {0.0, 1e-9, -1e-7}) {
      CAPTURE(together);
      CAPTURE(moved);
      FakeFunction function = bent();
      Differenced differenced = refined_at(function, x, Box::infinite(3), together);
      const Vector h = differenced.steps(), y = x * (1 + moved);
      CHECK(function.columns() == 6);
      const Matrix J = measure(differenced, y).J;
      CHECK(function.columns() == 9);
      CHECK(differenced.difference_evaluations() == 9);
      CHECK((differenced.steps() - h).norm() <= 1e-9 * h.norm());
      // three times the error of central differences, h^2 / 6 r''' + epsilon r / h
      CHECK((J - bent_jacobian(y)).cwiseAbs().maxCoeff() <= 3 * std::pow(epsilon, 2.0 / 3) * 12);
    }
  }
}

TEST_CASE("difference: second differences are not used where x has moved on, nor for other schemes") {
  const Vector x = vector({1.5, -2, 0.75});
  FakeFunction function = bent();
  Differenced differenced = refined_at(function, x, Box::infinite(3));
  Vector y = x;
  y[1] += 0.2 * differenced.steps()[1];
  measure(differenced, y);
  CHECK(function.columns() == 12);
  measure(differenced, y);  // they are those of y now
  CHECK(function.columns() == 15);

  FakeFunction other = bent();
  Differenced three(other, Scheme::three_point, Box::infinite(3), true);
  measure(three, x);
  measure(three, x);
  CHECK(other.columns() == 12);
}

TEST_CASE("difference: near the last central differences the box and fixed parameters are kept to") {
  FakeFunction function = bent();
  const Vector x = vector({1.5, -2, 0.75});
  Box box = Box::infinite(3);
  box.lower[0] = box.upper[0] = 1.5;
  box.upper[1] = -2 + 1.0001 * std::cbrt(epsilon) * 2;  // room for the central step, hardly for more
  Differenced differenced = refined_at(function, x, box);
  CHECK(function.columns() == 4);
  Vector y = x;
  y[1] += 0.05 * differenced.steps()[1];
  function.calls.clear();
  const Matrix J = measure(differenced, y).J;
  REQUIRE(function.columns() == 2);
  for (Index k = 0; k < 2; ++k) CHECK(box.contains(function.calls[0].col(k)));
  CHECK(J.col(0).isZero(0));
  CHECK((J - bent_jacobian(y)).rightCols(2).cwiseAbs().maxCoeff() <= 3 * std::pow(epsilon, 2.0 / 3) * 12);

  // on a wall a column is one-sided and has no second difference
  y = vector({1.5, box.upper[1], 0.75});
  measure(differenced, y);
  function.calls.clear();
  measure(differenced, y);
  CHECK(function.columns() >= 4);
}

TEST_CASE("difference: where a forward point is not finite the central ones are taken") {
  const double wall = 1 + 1.01 * std::cbrt(epsilon);
  FakeFunction function([&](const Vector& x) { return vector({x[0] <= wall ? std::exp(x[0]) : not_a_number}); });
  Differenced differenced = refined_at(function, vector({1}), Box::infinite(1));
  const Vector y = vector({1 + 0.05 * differenced.steps()[0]});
  CHECK(measure(differenced, y).J(0, 0) == doctest::Approx(std::exp(y[0])).epsilon(1e-6));
}
