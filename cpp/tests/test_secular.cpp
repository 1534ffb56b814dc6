// linalg/secular: the alpha whose step has length Delta.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "marquardt/linalg/secular.hpp"
#include "no_malloc.hpp"
#include "samples.hpp"

using namespace marquardt;
using samples::uniform;

namespace {

const SubproblemKind kinds[] = {SubproblemKind::cholesky, SubproblemKind::qr, SubproblemKind::svd};

struct Setting {
  Reduced rows;
  Model model;
  std::unique_ptr<Subproblem> subproblem;
  double full = 0;  // length of the full step

  Setting(SubproblemKind kind, const Matrix& J, const Vector& r)
      : rows(samples::reduce(Form::triangle, J, r)), subproblem(make_subproblem(kind)) {
    model.set(rows, Vector::Ones(J.cols()), Vector::Zero(J.cols()));
    subproblem->factor(model);
    Vector p;
    REQUIRE(subproblem->solve(0, p));
    full = p.norm();
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
};

// On the edge: of length Delta to the last digits, computed at the alpha that is returned, and within 1 % there.
void check_edge(Setting& s, const Secular& answer, const Vector& p, double Delta, double tolerance = 0.01) {
  CHECK(answer.at_edge);
  CHECK(answer.alpha >= 0);
  CHECK(p.norm() == doctest::Approx(Delta).epsilon(1e-14));
  Vector again;
  REQUIRE(s.subproblem->solve(answer.alpha, again));
  CHECK(std::abs(again.norm() - Delta) <= tolerance * Delta);
  CHECK((p - again * (Delta / again.norm())).norm() <= 1e-14 * Delta);
}

// A subproblem that refuses to answer below some alpha, and counts.
class Reluctant final : public Subproblem {
 public:
  Reluctant(std::unique_ptr<Subproblem> inner, double least) : inner_(std::move(inner)), least_(least) {}
  void factor(const Model& model) override { inner_->factor(model); }
  bool solve(double alpha, Vector& p) override {
    ++solves;
    if (alpha >= least_) return inner_->solve(alpha, p);
    p.setConstant(p.size(), std::nan(""));
    return false;
  }
  double slope(const Vector& p) override { return inner_->slope(p); }
  bool back_solve(const Vector& h, Vector& q) override { return inner_->back_solve(h, q); }
  Index rank() const override { return inner_->rank(); }
  int solves = 0;

 private:
  std::unique_ptr<Subproblem> inner_;
  double least_;
};

}  // namespace

TEST_CASE("secular: a full step that fits is taken") {
  for (const SubproblemKind kind : kinds) {
    Setting s(kind, uniform(9, 4, 1), uniform(9, 1, 2));
    Vector p, full;
    REQUIRE(s.subproblem->solve(0, full));
    for (const double Delta : {s.full, 2 * s.full, 1e300, infinity}) {
      const Secular answer = secular(*s.subproblem, s.model, Delta, 0, p);
      CHECK_FALSE(answer.at_edge);
      CHECK(answer.alpha == 0);
      CHECK(answer.solves == 1);
      CHECK(p == full);
    }
  }
}

TEST_CASE("secular: a full step within the tolerance is only shortened") {
  Setting s(SubproblemKind::qr, uniform(9, 4, 1), uniform(9, 1, 2));
  Vector p;
  const Secular answer = secular(*s.subproblem, s.model, s.full / 1.009, 0, p);
  CHECK(answer.alpha == 0);
  CHECK(answer.solves == 1);
  check_edge(s, answer, p, s.full / 1.009);
}

TEST_CASE("secular: a zero gradient is a zero step") {
  Setting s(SubproblemKind::cholesky, uniform(5, 3, 3), Vector::Zero(5));
  Vector p;
  const Secular answer = secular(*s.subproblem, s.model, 1, 0, p);
  CHECK(p == Vector::Zero(3));
  CHECK_FALSE(answer.at_edge);
  CHECK(answer.alpha == 0);
}

TEST_CASE("secular: two to six solves at any condition and any radius") {
  int total = 0, runs = 0, most = 0;
  for (const SubproblemKind kind : kinds) {
    for (const double condition : {1.0, 1e2, 1e4, 1e6, 1e8, 1e10, 1e12}) {
      for (const Index n : {1, 2, 3, 10, 30}) {
        const Matrix J = samples::with_singular_values(n + 3, samples::spread(n, condition), 4);
        for (const std::uint64_t seed : {5, 6}) {
          Setting s(kind, J, uniform(n + 3, 1, seed));
          for (const double cut : {0.9, 0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-6}) {
            CAPTURE(condition);
            CAPTURE(n);
            CAPTURE(cut);
            Vector p;
            const double Delta = cut * s.full;
            const Secular answer = secular(*s.subproblem, s.model, Delta, 0, p);
            CHECK(answer.solves >= 2);
            CHECK(answer.solves <= 6);
            most = std::max(most, answer.solves);
            total += answer.solves;
            ++runs;
            check_edge(s, answer, p, Delta);
          }
        }
      }
    }
  }
  CHECK(total < 3 * runs);  // and usually two or three
}

TEST_CASE("secular: adversarial spectra converge too") {
  // Two clusters 1e9 apart, or one small value, with parts of the step of equal length in each: plateaus of
  // ||p(alpha)||.
  int total = 0, runs = 0;
  for (const double gap : {1e3, 1e6, 1e9}) {
    for (const Index n : {2, 5, 12}) {
      for (const Index small : {Index{1}, n / 2}) {
        Vector sigma = Vector::Ones(n);
        sigma.tail(small).setConstant(1 / gap);
        const Matrix J = samples::with_singular_values(n, sigma, 7);
        for (const bool equal : {false, true}) {
          // r = J v: a full step -v whose parts are equally long; otherwise the residual is
          const Vector v = uniform(n, 1, 8);
          Setting s(SubproblemKind::qr, J, equal ? Vector(J * v) : v);
          for (const double cut : {0.9, 0.7, 0.5, 0.1, 1e-3, 1e-6}) {
            Vector p;
            const Secular answer = secular(*s.subproblem, s.model, cut * s.full, 0, p);
            check_edge(s, answer, p, cut * s.full);
            CHECK(answer.solves <= 10);
            total += answer.solves;
            ++runs;
          }
        }
      }
    }
  }
  CHECK(total < 4 * runs);
}

TEST_CASE("secular: rank-deficient and zero columns") {
  Matrix J = uniform(8, 5, 9);
  J.col(2) = J.col(4);
  J.col(0).setZero();
  for (const SubproblemKind kind : kinds) {
    Setting s(kind, J, uniform(8, 1, 10));
    for (const double cut : {0.9, 0.1, 1e-5}) {
      Vector p;
      const Secular answer = secular(*s.subproblem, s.model, cut * s.full, 0, p);
      check_edge(s, answer, p, cut * s.full);
      CHECK(p[0] == 0);
      CHECK(p[2] == doctest::Approx(p[4]).epsilon(1e-10));
      CHECK(answer.solves <= 6);
    }
  }
}

TEST_CASE("secular: the step minimises the model among all steps of its length") {
  Setting s(SubproblemKind::svd, uniform(9, 4, 11), uniform(9, 1, 12));
  Vector p;
  const double Delta = 0.3 * s.full;
  secular(*s.subproblem, s.model, Delta, 0, p, 1e-12);
  const double best = s.model.decrease(p);
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Vector other = p + 0.5 * Delta * uniform(4, 1, 100 + seed);
    other *= Delta / other.norm();
    CHECK(s.model.decrease(other) <= best * (1 + 1e-12));
  }
}

TEST_CASE("secular: a tighter tolerance is kept") {
  for (const SubproblemKind kind : kinds) {
    Setting s(kind, samples::with_singular_values(9, samples::spread(6, 1e6), 13), uniform(9, 1, 14));
    Vector p;
    const Secular answer = secular(*s.subproblem, s.model, 1e-3 * s.full, 0, p, 1e-10);
    check_edge(s, answer, p, 1e-3 * s.full, 1e-10);
    CHECK(answer.solves <= 10);
  }
}

TEST_CASE("secular: tiny and huge radii") {
  for (const SubproblemKind kind : kinds) {
    Setting s(kind, uniform(9, 4, 15), uniform(9, 1, 16));
    const Vector downhill = -s.model.gradient().normalized();
    for (const double Delta : {1e-20, 1e-150, 1e-300}) {
      CAPTURE(Delta);
      Vector p;
      const Secular answer = secular(*s.subproblem, s.model, Delta, 0, p);
      CHECK(answer.at_edge);
      CHECK(std::isfinite(answer.alpha));
      CHECK(answer.solves <= 6);
      CHECK((p / Delta - downhill).norm() < 1e-12);
    }
    Vector p;  // no double can be damping enough for this length
    const Secular answer = secular(*s.subproblem, s.model, 5e-324, 0, p);
    CHECK(answer.at_edge);
    CHECK(p.allFinite());
  }
}

TEST_CASE("secular: a good guess saves solves, a bad one is not used") {
  Setting s(SubproblemKind::qr, samples::with_singular_values(9, samples::spread(6, 1e8), 17), uniform(9, 1, 18));
  const double Delta = 1e-4 * s.full;
  Vector p;
  const Secular cold = secular(*s.subproblem, s.model, Delta, 0, p);
  const Secular warm = secular(*s.subproblem, s.model, Delta, cold.alpha, p);
  CHECK(warm.solves == 2);
  CHECK(warm.alpha == cold.alpha);
  for (const double guess : {1e-300, 1e300, infinity}) {
    const Secular misled = secular(*s.subproblem, s.model, Delta, guess, p);
    CHECK(misled.solves == cold.solves);
    check_edge(s, misled, p, Delta);
  }
}

TEST_CASE("secular: goes on when there is no full step") {
  Setting s(SubproblemKind::qr, uniform(9, 4, 19), uniform(9, 1, 20));
  for (const double least : {1e-12, 1e-3}) {
    Reluctant reluctant(make_qr(), least);
    reluctant.factor(s.model);
    Vector p;
    const double Delta = 0.05 * s.full;
    const Secular answer = secular(reluctant, s.model, Delta, 0, p);
    CHECK(answer.solves == reluctant.solves);
    CHECK(answer.solves <= 10);
    check_edge(s, answer, p, Delta);
  }
}

TEST_CASE("secular: when even Delta cannot be reached, the longest step that exists") {
  Setting s(SubproblemKind::qr, uniform(9, 4, 19), uniform(9, 1, 20));
  for (const double Delta : {s.full, 1e10, infinity}) {
    Reluctant reluctant(make_qr(), 1.0);
    reluctant.factor(s.model);
    Vector p, truth;
    const Secular answer = secular(reluctant, s.model, Delta, 0, p);
    CHECK_FALSE(answer.at_edge);
    CHECK(answer.alpha >= 1);
    CHECK(answer.alpha <= 16);
    REQUIRE(s.subproblem->solve(answer.alpha, truth));
    CHECK(p == truth);
  }
}

TEST_CASE("secular: allocates nothing") {
  for (const SubproblemKind kind : kinds) {
    Setting s(kind, uniform(20, 16, 21), uniform(20, 1, 22));
    Vector p;
    secular(*s.subproblem, s.model, 0.1 * s.full, 0, p);
    const NoMalloc guard;
    CHECK(secular(*s.subproblem, s.model, 0.2 * s.full, 0, p).at_edge);
    CHECK_FALSE(secular(*s.subproblem, s.model, 2 * s.full, 0, p).at_edge);
  }
}
