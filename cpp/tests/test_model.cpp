// linalg/model: the quadratic model against the sum of squares it stands for.
#include <doctest/doctest.h>

#include <cmath>

#include "marquardt/linalg/model.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::Long;
using samples::LongMatrix;
using samples::LongVector;
using samples::uniform;

namespace {

// 1/2 ||J (d .* p) + r||^2 + 1/2 p'Cp in extended precision
Long objective(const Matrix& J, const Vector& r, const Vector& d, const Vector& C, const LongVector& p) {
  const LongVector moved = J.cast<Long>() * d.cast<Long>().cwiseProduct(p) + r.cast<Long>();
  return moved.squaredNorm() / 2 + p.dot(C.cast<Long>().cwiseProduct(p)) / 2;
}

const Form forms[] = {Form::triangle, Form::gram};

}  // namespace

TEST_CASE("model: decrease and along agree with the sum of squares") {
  for (const Form form : forms) {
    for (const Index m : {1, 3, 5, 20}) {
      const Index n = 5;
      const Matrix J = uniform(m, n, 1);
      const Vector r = uniform(m, 1, 2);
      Vector d = uniform(n, 1, 3).cwiseAbs(), C = Vector::Zero(n);
      for (const bool curved : {false, true}) {
        CAPTURE(m);
        CAPTURE(curved);
        if (curved) {
          C = uniform(n, 1, 4).cwiseAbs();
          d[2] = 0;  // a variable that must not move
          C[2] = 1;
        }
        const Reduced rows = samples::reduce(form, J, r);
        Model model;
        model.set(rows, d, C);
        CHECK(model.has_curvature() == curved);
        CHECK(samples::error(model.gradient(), Vector(d.cwiseProduct(J.transpose() * r))) < 1e-14);
        const Vector p = uniform(n, 1, 5), s = uniform(n, 1, 6);
        const LongVector lp = p.cast<Long>(), ls = s.cast<Long>();
        const Long at_zero = objective(J, r, d, C, LongVector::Zero(n));
        CHECK(model.decrease(p) == doctest::Approx(double(at_zero - objective(J, r, d, C, lp))).epsilon(1e-13));
        const Model::Quadratic q = model.along(s, p);
        for (const double t : {-2.0, 0.5, 3.0}) {
          const Long truth = objective(J, r, d, C, ls + t * lp) - objective(J, r, d, C, ls);
          CHECK(t * (q.a * t + q.b) == doctest::Approx(double(truth)).epsilon(1e-12));
        }
      }
    }
  }
}

TEST_CASE("model: a tiny fall keeps its digits at condition 1e10 (triangle)") {
  const Matrix J = samples::with_singular_values(12, samples::spread(6, 1e10), 7);
  const Vector r = 1e-6 * uniform(12, 1, 8);
  const Vector d = Vector::Ones(6), C = Vector::Zero(6);
  const Reduced rows = samples::reduce(Form::triangle, J, r);
  Model model;
  model.set(rows, d, C);
  const LongVector full = samples::exact_step(J, r, C, 0);
  const Vector p = full.cast<double>();
  const Long truth = objective(J, r, d, C, LongVector::Zero(6)) - objective(J, r, d, C, p.cast<Long>());
  CHECK(model.decrease(p) == doctest::Approx(double(truth)).epsilon(1e-9));
}

TEST_CASE("model: never NaN, however long the step") {
  for (const Form form : forms) {
    const Reduced rows = samples::reduce(form, uniform(4, 3, 9), uniform(4, 1, 10));
    Model model;
    model.set(rows, Vector::Ones(3), Vector::Ones(3));
    for (const double size : {1e-320, 1e160, 1e300, 1.7e308}) {
      CHECK_FALSE(std::isnan(model.decrease(uniform(3, 1, 11) * size)));
      CHECK_FALSE(std::isnan(model.decrease(Vector::Constant(3, size))));
    }
    CHECK(model.decrease(Vector::Zero(3)) == 0);
  }
}

TEST_CASE("model: allocates nothing the second time") {
  for (const Form form : forms) {
    const Reduced rows = samples::reduce(form, uniform(20, 16, 12), uniform(20, 1, 13));
    const Vector d = Vector::Ones(16), C = Vector::Ones(16), p = uniform(16, 1, 14), s = uniform(16, 1, 15);
    Model model;
    model.set(rows, d, C);
    const double before = model.decrease(p) + model.along(s, p).b;
    const NoMalloc guard;
    model.set(rows, d, C);
    CHECK(model.decrease(p) + model.along(s, p).b == before);
  }
}
