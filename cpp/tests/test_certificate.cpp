// The certificate: rho against a projection computed from the full matrix, walls, units, ranks.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "fakes.hpp"
#include "marquardt/linalg/box_qp.hpp"
#include "marquardt/step/certificate.hpp"

using namespace marquardt;
using namespace marquardt::fakes;

namespace {

constexpr Form forms[] = {Form::triangle, Form::gram};

std::string name(Form form) { return form == Form::triangle ? "triangle" : "gram"; }

Certificate certificate(const Point& point, const Box& feasible, double derivative_error = epsilon) {
  Certifier certifier(feasible, derivative_error);
  return certifier.certify(point);
}

Certificate certificate(const Point& point) { return certificate(point, Box::infinite(point.x.size())); }

Matrix columns(const Matrix& A, const std::vector<Index>& kept) {
  Matrix out(A.rows(), static_cast<Index>(kept.size()));
  for (std::size_t k = 0; k < kept.size(); ++k) out.col(static_cast<Index>(k)) = A.col(kept[k]);
  return out;
}

}  // namespace

TEST_CASE("certificate: unbounded rho is the length of r in the span of the columns") {
  Numbers numbers(11);
  for (const auto& shape : std::vector<std::pair<Index, Index>>{{1, 1}, {7, 1}, {12, 4}, {5, 5}, {2, 5}, {60, 10}}) {
    const Index m = shape.first, n = shape.second;
    for (const Form form : forms) {
      CAPTURE(m);
      CAPTURE(n);
      CAPTURE(name(form));
      const Matrix A = numbers.matrix(m, n);
      const Vector r = numbers.vector(m);
      const Certificate c = certificate(point_of(A, r, numbers.vector(n), form));
      CHECK(c.rho == doctest::Approx(projection(A, r)).epsilon(1e-12));
      CHECK(c.resolved == doctest::Approx(c.rho).epsilon(1e-12));
      CHECK(c.rank == std::min(m, n));
    }
  }
}

TEST_CASE("certificate: rho is the fall that a full Gauss-Newton step predicts") {
  Numbers numbers(12);
  const Matrix A = numbers.matrix(9, 3);
  const Vector r = numbers.vector(9);
  const Certificate c = certificate(point_of(A, r, Vector::Zero(3)));
  const Vector p = -A.householderQr().solve(r);
  CHECK((c.p - p).norm() <= 1e-13 * p.norm());
  CHECK(0.5 * c.rho * c.rho == doctest::Approx(0.5 * r.squaredNorm() - 0.5 * (r + A * p).squaredNorm()).epsilon(1e-12));
  CHECK(c.size == doctest::Approx(A.colwise().norm().transpose().cwiseProduct(p).norm()).epsilon(1e-12));
}

TEST_CASE("certificate: rho is zero to rounding where r is orthogonal to the columns") {
  Numbers numbers(13);
  for (const Form form : forms) {
    CAPTURE(name(form));
    const Matrix A = numbers.matrix(10, 4);
    Vector r = numbers.vector(10);
    r -= A * A.householderQr().solve(r);
    r -= A * A.householderQr().solve(r);
    CHECK(certificate(point_of(A, r, Vector::Ones(4), form)).rho <= 1e-14 * r.norm());
  }
}

TEST_CASE("certificate: ill-conditioned columns lose nothing in either form") {
  // columns that agree to 1e-9: their Gram matrix is singular in double precision
  Numbers numbers(14);
  const Vector a = numbers.vector(20), b = numbers.vector(20), r = numbers.vector(20);
  Matrix A(20, 2);
  A << a, a + 1e-9 * b;
  Matrix basis(20, 2);
  basis << a, (A.col(1) - a) / 1e-9;
  for (const Form form : forms) {
    CAPTURE(name(form));
    const Certificate c = certificate(point_of(A, r, Vector::Ones(2), form));
    CHECK(c.rank == 2);
    CHECK(c.rho == doctest::Approx(projection(basis, r)).epsilon(1e-6));
  }
}

TEST_CASE("certificate: the two forms agree") {
  Numbers numbers(15);
  for (int time = 0; time < 20; ++time) {
    const Matrix A = numbers.matrix(8, 3);
    const Vector r = numbers.vector(8), x = numbers.vector(3);
    const Box feasible = {x.array() - 0.05, x.array() + 0.3};
    const Certificate t = certificate(point_of(A, r, x), feasible);
    const Certificate g = certificate(point_of(A, r, x, Form::gram), feasible);
    CHECK(t.rho == doctest::Approx(g.rho).epsilon(1e-12));
    CHECK(t.size == doctest::Approx(g.size).epsilon(1e-11));
    CHECK(t.reference == doctest::Approx(g.reference).epsilon(1e-12));
    CHECK(t.rank == g.rank);
    CHECK((t.p - g.p).norm() <= 1e-11 * (1 + t.p.norm()));
  }
}

TEST_CASE("certificate: variables whose own best move crosses a wall are held and add what they could gain") {
  Numbers numbers(16);
  int some_held = 0, some_free = 0;
  for (int time = 0; time < 50; ++time) {
    const Matrix A = numbers.matrix(9, 4);
    const Vector r = numbers.vector(9), x = numbers.vector(4), g = A.transpose() * r;
    Box feasible = Box::infinite(4);
    for (Index j = 0; j < 4; ++j) {
      feasible.lower[j] = x[j] - numbers.between(0, 0.4);
      feasible.upper[j] = x[j] + numbers.between(0, 0.4);
    }
    std::vector<Index> free;
    double at_walls = 0;
    for (Index j = 0; j < 4; ++j) {
      const double to = x[j] - g[j] / A.col(j).squaredNorm();  // where x_j alone would go
      if (to > feasible.lower[j] && to < feasible.upper[j]) {
        free.push_back(j);
        ++some_free;
      } else {
        at_walls += std::abs(g[j]) * (g[j] > 0 ? x[j] - feasible.lower[j] : feasible.upper[j] - x[j]);
        ++some_held;
      }
    }
    const double rest = free.empty() ? 0 : projection(columns(A, free), r);
    const Certificate c = certificate(point_of(A, r, x), feasible);
    CHECK(c.rho == doctest::Approx(std::sqrt(rest * rest + 2 * at_walls)).epsilon(1e-12));
    CHECK(c.rank == static_cast<Index>(free.size()));
    for (Index j = 0; j < 4; ++j) {
      if (std::find(free.begin(), free.end(), j) == free.end()) CHECK(c.p[j] == 0);
    }
  }
  CHECK(some_held > 20);
  CHECK(some_free > 20);
}

TEST_CASE("certificate: on a wall with the gradient pointing out nothing can be gained") {
  const Matrix A = Matrix::Identity(2, 2);
  const Box feasible = box({0, 0}, {1, 1});
  const Certificate c = certificate(point_of(A, vector({5, -7}), vector({0, 1})), feasible);  // g = (5, -7)
  CHECK(c.rho == 0);
  CHECK(c.size == 0);
  CHECK(c.p == Vector::Zero(2));
  CHECK(c.rank == 0);
  // and with the gradient pointing in everything can
  const Certificate in = certificate(point_of(A, vector({-0.5, 0.25}), vector({0, 1})), feasible);
  CHECK(in.rho == doctest::Approx(std::hypot(0.5, 0.25)));
  CHECK(in.p[0] == doctest::Approx(0.5));
  CHECK(in.p[1] == doctest::Approx(-0.25));
}

TEST_CASE("certificate: rho vanishes at the solution of a bounded problem and nowhere near it") {
  Numbers numbers(17);
  int bound = 0;
  for (int time = 0; time < 30; ++time) {
    const Matrix A = numbers.matrix(8, 4);
    const Vector b = 2 * numbers.vector(8);
    const Box feasible = {Vector::Constant(4, -0.3), Vector::Constant(4, 0.3)};
    Vector x = Vector::Zero(4);
    BoxQp qp;
    REQUIRE(qp.solve(A.transpose() * A, -A.transpose() * b, feasible.lower, feasible.upper, x).solved);
    bound += static_cast<int>((qp.active().array() != 0).count());
    const Certificate there = certificate(point_of(A, A * x - b, x), feasible);
    CHECK(there.rho <= 1e-13 * (A * x - b).norm());
    Vector off = x + 0.05 * numbers.vector(4);
    feasible.project(off);
    CHECK(certificate(point_of(A, A * off - b, off), feasible).rho >= 1e-3 * (A * off - b).norm());
  }
  CHECK(bound > 20);
}

TEST_CASE("certificate: a fixed variable counts for nothing") {
  Numbers numbers(18);
  const Matrix A = numbers.matrix(7, 3);
  const Vector r = numbers.vector(7), x = vector({1, 2, 3});
  const Certificate c = certificate(point_of(A, r, x), box({-9, 2, -9}, {9, 2, 9}));
  CHECK(c.rho == doctest::Approx(projection(columns(A, {0, 2}), r)).epsilon(1e-12));
  CHECK(c.p[1] == 0);
  CHECK(c.rank == 2);
  const Certificate all = certificate(point_of(A, r, x), {x, x});
  CHECK(all.rho == 0);
  CHECK(all.rank == 0);
}

TEST_CASE("certificate: rho has the units of r and no others") {
  Numbers numbers(19);
  const Matrix A = numbers.matrix(9, 3);
  const Vector r = numbers.vector(9), x = numbers.vector(3);
  const Box feasible = {x - vector({0.02, 1, 5}), x + vector({0.02, 1, 5})};
  const Certificate c = certificate(point_of(A, r, x), feasible);
  for (const double unit : {1e-120, 1e-8, 1e8, 1e120}) {
    CAPTURE(unit);
    const Certificate scaled = certificate(point_of(unit * A, unit * r, x), feasible);
    CHECK(scaled.rho == doctest::Approx(unit * c.rho).epsilon(1e-12));
    CHECK(scaled.resolved == doctest::Approx(unit * c.resolved).epsilon(1e-12));
    CHECK(scaled.size == doctest::Approx(unit * c.size).epsilon(1e-12));
    CHECK((scaled.p - c.p).norm() <= 1e-12 * c.p.norm());
    CHECK(scaled.rank == c.rank);
  }
  const Vector units = vector({1e-8, 1, 1e8});  // x in other units: x = y .* units
  for (const Form form : forms) {
    CAPTURE(name(form));
    const Box there = {feasible.lower.cwiseQuotient(units), feasible.upper.cwiseQuotient(units)};
    const Certificate scaled = certificate(point_of(A * units.asDiagonal(), r, x.cwiseQuotient(units), form), there);
    CHECK(scaled.rho == doctest::Approx(c.rho).epsilon(1e-7));  // the distance to a wall has 8 digits at 1e8
    CHECK(scaled.size == doctest::Approx(c.size).epsilon(1e-7));
    CHECK(scaled.reference == doctest::Approx(c.reference).epsilon(1e-12));
    CHECK(scaled.rank == c.rank);
  }
}

TEST_CASE("certificate: dependent and zero columns") {
  Numbers numbers(20);
  const Vector a = numbers.vector(8), b = numbers.vector(8), r = numbers.vector(8);
  Matrix A(8, 4);
  A << a, a, Vector::Zero(8), b;
  Matrix basis(8, 2);
  basis << a, b;
  for (const Form form : forms) {
    CAPTURE(name(form));
    const Certificate c = certificate(point_of(A, r, Vector::Ones(4), form));
    CHECK(c.rank == 2);
    CHECK(c.rho == doctest::Approx(projection(basis, r)).epsilon(1e-12));
    CHECK(c.resolved == doctest::Approx(c.rho).epsilon(1e-12));
    CHECK(c.p[0] == doctest::Approx(c.p[1]));  // minimum norm shares alike
    CHECK(c.p[2] == 0);
    CHECK(c.p.allFinite());
  }
  const Certificate none = certificate(point_of(Matrix::Zero(8, 3), r, Vector::Ones(3)));
  CHECK(none.rho == 0);
  CHECK(none.rank == 0);
  CHECK(none.p == Vector::Zero(3));
}

TEST_CASE("certificate: a direction that the errors of J drown is left out of resolved only") {
  // two columns 1e-9 apart: what separates them is known if J is exact, noise if J comes from forward differences
  Vector a = Vector::Zero(5), b = Vector::Zero(5);
  a[0] = 1;
  b[1] = 1;
  Matrix A(5, 2);
  A << a, a + 1e-9 * b;
  const Point point = point_of(A, 3 * a + 4 * b, Vector::Ones(2));
  const Certificate exact = certificate(point, Box::infinite(2), epsilon);
  CHECK(exact.rho == doctest::Approx(5).epsilon(1e-6));
  CHECK(exact.resolved == doctest::Approx(5).epsilon(1e-6));
  const Certificate rough = certificate(point, Box::infinite(2), std::sqrt(epsilon));
  CHECK(rough.rho == doctest::Approx(5).epsilon(1e-6));
  CHECK(rough.resolved == doctest::Approx(3).epsilon(1e-6));
  CHECK(rough.rank == 2);
}

TEST_CASE("certificate: singular where a combination of the free columns is very short") {
  Vector a = Vector::Zero(5), b = Vector::Zero(5);
  a[0] = 1;
  b[1] = 1;
  const auto singular = [&](double apart, const Box& feasible) {
    Matrix A(5, 2);
    A << a, a + apart * b;
    return certificate(point_of(A, Vector::Ones(5), Vector::Ones(2)), feasible).singular;
  };
  CHECK_FALSE(singular(1, Box::infinite(2)));
  CHECK_FALSE(singular(1e-3, Box::infinite(2)));
  CHECK(singular(1e-7, Box::infinite(2)));
  CHECK(singular(0, Box::infinite(2)));
  CHECK_FALSE(singular(0, box({-9, 1}, {9, 1})));  // the one is fixed: the other stands alone
}

TEST_CASE("certificate: the quick measure is the best single column and never above rho") {
  Numbers numbers(21);
  for (int time = 0; time < 30; ++time) {
    const Matrix A = numbers.matrix(6, 3);
    const Vector r = numbers.vector(6), x = numbers.vector(3);
    const Point point = point_of(A, r, x);
    Certifier certifier(Box::infinite(3), epsilon);
    double best = 0;
    for (Index j = 0; j < 3; ++j) best = std::max(best, std::abs(A.col(j).dot(r)) / A.col(j).norm());
    CHECK(certifier.quick(point) == doctest::Approx(best).epsilon(1e-13));
    CHECK(certifier.quick(point) <= certifier.certify(point).rho * (1 + 1e-12));
    Certifier walled({x.array() - 0.1, x.array() + 0.1}, epsilon);
    CHECK(walled.quick(point) <= walled.certify(point).rho * (1 + 1e-12));
  }
  const Point zero = point_of(Matrix::Zero(3, 2), Vector::Ones(3), Vector::Ones(2));
  CHECK(Certifier(Box::infinite(2), epsilon).quick(zero) == 0);
}

TEST_CASE("certificate: active says at which wall") {
  const Matrix A = Matrix::Identity(6, 6);
  //                 on lower, on upper, beside lower, beside upper, free, fixed
  const Vector x = vector({0, 1, 0.01, 0.99, 0.5, 1});
  const Box feasible = box({0, 0, 0, 0, 0, 1}, {1, 1, 1, 1, 1, 1});
  Certifier certifier(feasible, epsilon);
  const auto active = [&](const Vector& g) { return certifier.active(point_of(A, g, x), Vector::Constant(6, 100)); };
  Eigen::VectorXi expected(6);
  expected << -1, 1, -1, 1, 0, -1;
  CHECK(active(vector({2, -2, 2, -2, 0.1, 3})) == expected);
  expected << -1, 1, 0, 0, 0, -1;  // pulled away from the near walls
  CHECK(active(vector({-0.1, 0.1, -0.1, 0.1, -0.1, 0})) == expected);
  // where the column all but vanishes the best move crosses every wall, and says nothing
  const Matrix small = 1e-4 * A;
  const Vector middle = Vector::Constant(6, 0.5);
  const Box wide = box({0, 0, 0, 0, 0, 0}, {1, 1, 1, 1, 1, 1});
  const Eigen::VectorXi nowhere = Eigen::VectorXi::Zero(6);
  CHECK(Certifier(wide, epsilon).active(point_of(small, Vector::Ones(6), middle), middle) == nowhere);
  CHECK(Certifier(Box::infinite(6), epsilon).active(point_of(A, Vector::Ones(6), x), x) == Eigen::VectorXi::Zero(6));
}

TEST_CASE("certificate: lengths are measured in the columns of the last certificate") {
  Matrix A(3, 2);
  A << 3, 0, 4, 0, 0, 2;
  Certifier certifier(Box::infinite(2), epsilon);
  const Certificate& c = certifier.certify(point_of(A, vector({1, 1, 1}), vector({1, -6})));
  CHECK(c.reference == doctest::Approx(std::hypot(5.0, 12.0)));
  CHECK(certifier.measure(vector({2, 0})) == doctest::Approx(10));
  certifier.certify(point_of(2 * A, vector({1, 1, 1}), vector({1, -6})));
  CHECK(certifier.measure(vector({2, 0})) == doctest::Approx(20));
}

TEST_CASE("certificate: a second certificate allocates nothing") {
  Numbers numbers(22);
  for (const Form form : forms) {
    CAPTURE(name(form));
    const Point point = point_of(numbers.matrix(20, 8), numbers.vector(20), Vector::Ones(8), form);
    Certifier certifier({Vector::Constant(8, 0.9), Vector::Constant(8, 2)}, epsilon);
    certifier.certify(point);
    const NoMalloc guard;
    certifier.certify(point);
    certifier.quick(point);
  }
}
