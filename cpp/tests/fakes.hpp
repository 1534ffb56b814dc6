// What the tests of the upper layers share: residuals that count their calls, a function that remembers where it was
// asked, a step that does as it is told, an observer that watches, and the list of methods.
#pragma once

#include <doctest/doctest.h>

#include <Eigen/SVD>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "marquardt/solve/minimise.hpp"
#include "no_malloc.hpp"

namespace marquardt::fakes {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

using LongMatrix = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
using LongVector = Eigen::Matrix<long double, Eigen::Dynamic, 1>;

inline Vector vector(std::initializer_list<double> entries) {
  Vector v(static_cast<Index>(entries.size()));
  Index i = 0;
  for (const double entry : entries) v[i++] = entry;
  return v;
}

inline Box box(std::initializer_list<double> lower, std::initializer_list<double> upper) {
  return {vector(lower), vector(upper)};
}

// Entries in [-1, 1], the same on every platform.
class Numbers {
 public:
  explicit Numbers(unsigned seed) : engine_(seed) {}
  double next() { return 2 * (static_cast<double>(engine_()) / 4294967295.0) - 1; }
  double between(double low, double high) { return low + 0.5 * (next() + 1) * (high - low); }
  Vector vector(Index n) {
    Vector v(n);
    for (Index i = 0; i < n; ++i) v[i] = next();
    return v;
  }
  Matrix matrix(Index rows, Index cols) {
    Matrix A(rows, cols);
    for (Index j = 0; j < cols; ++j) A.col(j) = vector(rows);
    return A;
  }

 private:
  std::mt19937 engine_;
};

// Residuals made of two functions. Counts its calls and remembers every x.
class FakeResidual : public Residual {
 public:
  using ValueFunction = std::function<void(const Vector& x, Vector& r)>;
  using JacobianFunction = std::function<void(const Vector& x, Matrix& J)>;

  FakeResidual(ValueFunction value, JacobianFunction jacobian)
      : value_(std::move(value)), jacobian_(std::move(jacobian)) {}

  void value(const Vector& x, Vector& r) override {
    ++values;
    if (remember) seen.push_back(x);
    value_(x, r);
  }
  void jacobian(const Vector& x, const Vector&, Jacobian& J) override { fill(x, J.own()); }
  void fill(const Vector& x, Matrix& J) {
    ++jacobians;
    jacobian_(x, J);
  }
  double derivative_error() const override { return error; }
  double precision() const override { return rounding; }

  int values = 0, jacobians = 0;
  bool remember = true;
  std::vector<Vector> seen;
  double error = epsilon, rounding = epsilon;

 private:
  ValueFunction value_;
  JacobianFunction jacobian_;
};

// r = A x - b
inline FakeResidual linear(const Matrix& A, const Vector& b) {
  return {[A, b](const Vector& x, Vector& r) { r = A * x - b; }, [A](const Vector&, Matrix& J) { J = A; }};
}

// r = (10 (y - x^2), 1 - x), J written entry by entry: allocates nothing once r and J have their size.
inline FakeResidual rosenbrock() {
  return {[](const Vector& x, Vector& r) {
            r.resize(2);
            r[0] = 10 * (x[1] - x[0] * x[0]);
            r[1] = 1 - x[0];
          },
          [](const Vector& x, Matrix& J) {
            J.resize(2, 2);
            J(0, 0) = -20 * x[0];
            J(0, 1) = 10;
            J(1, 0) = -1;
            J(1, 1) = 0;
          }};
}

// The linearisation that the library itself makes of a residual at x.
inline Point point_at(Residual& residual, const Vector& x, Form form = Form::triangle) {
  Host host;
  Problem problem(residual, x.size(), form, host);
  Value value;
  Point point;
  problem.value(x, value);
  REQUIRE(std::isfinite(value.cost));
  REQUIRE(problem.linearise(value, point));
  return point;
}

// The point of r = A (x - here) + r0, whose Jacobian is A and whose residuals at `here` are r0.
inline Point point_of(const Matrix& A, const Vector& r0, const Vector& here, Form form = Form::triangle) {
  FakeResidual residual([&](const Vector&, Vector& r) { r = r0; }, [&](const Vector&, Matrix& J) { J = A; });
  return point_at(residual, here, form);
}

// Length of the part of r in the span of A's columns, by an SVD of the columns scaled to length 1.
inline double projection(const Matrix& A, const Vector& r) {
  Matrix scaled(A.rows(), 0);
  for (Index j = 0; j < A.cols(); ++j) {
    const double norm = A.col(j).stableNorm();
    if (norm == 0) continue;
    scaled.conservativeResize(Eigen::NoChange, scaled.cols() + 1);
    scaled.rightCols(1) = A.col(j) / norm;
  }
  if (scaled.cols() == 0) return 0;
  const Eigen::JacobiSVD<Matrix> svd(scaled, Eigen::ComputeThinU);
  return (svd.matrixU().leftCols(svd.rank()).transpose() * r).norm();
}

// Remembers every point it was asked for, call by call.
class FakeFunction : public Function {
 public:
  using Real = std::function<Vector(const Vector&)>;
  using Complex = std::function<Eigen::VectorXcd(const Eigen::VectorXcd&)>;

  explicit FakeFunction(Real real, Complex complex = {}) : real_(std::move(real)), complex_(std::move(complex)) {}

  void value(const Vector& x, Vector& r) override { r = real_(x); }
  void values(const Matrix& X, Matrix& R) override {
    calls.push_back(X);
    for (Index k = 0; k < X.cols(); ++k) {
      const Vector r = real_(X.col(k));
      if (k == 0) R.resize(r.size(), X.cols());
      R.col(k) = r;
    }
  }
  void values(const Eigen::MatrixXcd& X, Eigen::MatrixXcd& R) override {
    complex_calls.push_back(X);
    for (Index k = 0; k < X.cols(); ++k) {
      const Eigen::VectorXcd r = complex_(X.col(k));
      if (k == 0) R.resize(r.size(), X.cols());
      R.col(k) = r;
    }
  }

  Index columns() const {
    Index count = 0;
    for (const Matrix& X : calls) count += X.cols();
    for (const Eigen::MatrixXcd& X : complex_calls) count += X.cols();
    return count;
  }

  std::vector<Matrix> calls;
  std::vector<Eigen::MatrixXcd> complex_calls;

 private:
  Real real_;
  Complex complex_;
};

// A method that proposes what it is told to, and counts what the loop asks of it.
class FakeStep : public Step {
 public:
  using Proposal = std::function<void(const Point& here, Trial& trial)>;

  explicit FakeStep(Proposal proposal) : proposal_(std::move(proposal)) {}

  void admit(Vector& x) const override {
    ++admits;
    if (admission) admission(x);
  }
  void start(const Point& here) override {
    ++starts;
    adopted.push_back(here.x);
    measure(here);
  }
  void adopt(const Point& here) override {
    ++adopts;
    adopted.push_back(here.x);
    measure(here);
  }
  const Trial& propose(const Point& here) override {
    ++proposals;
    trial_ = Trial();
    trial_.x = here.x;
    trial_.p = Vector::Zero(here.x.size());
    proposal_(here, trial_);
    return trial_;
  }
  void judge(double ratio, const Trial&) override { ratios.push_back(ratio); }
  bool exhausted() const override { return give_up && give_up(); }
  Status limit() const override { return passed_limit ? passed_limit() : Status::running; }
  double optimality() const override { return optimality_; }
  double control() const override { return static_cast<double>(proposals); }
  Index rank() const override { return 0; }

  mutable int admits = 0;
  int starts = 0, adopts = 0, proposals = 0;
  std::vector<double> ratios;
  std::vector<Vector> adopted;
  std::function<void(Vector&)> admission;
  std::function<bool()> give_up;
  std::function<Status()> passed_limit;

 private:
  void measure(const Point& here) { optimality_ = here.g().lpNorm<Eigen::Infinity>(); }

  Proposal proposal_;
  Trial trial_;
  double optimality_ = infinity;
};

// A proposal: go to x, promising the fall given.
inline void go(Trial& trial, const Vector& x, double predicted) {
  trial.p = x - trial.x;
  trial.x = x;
  trial.predicted = predicted;
  trial.size = trial.p.norm();
  trial.reference = x.norm();
  trial.usable = true;
}

class FakeObserver : public Observer {
 public:
  using Watch = std::function<Status(const History&, const Point&)>;

  explicit FakeObserver(Watch watch = {}) : watch_(std::move(watch)) {}

  Status see(const History& history, const Point& here) override {
    ++calls;
    return watch_ ? watch_(history, here) : Status::running;
  }
  void arithmetic_begins(double flops) override {
    ++begun;
    most_flops = std::max(most_flops, flops);
  }
  void arithmetic_ends() override { ++ended; }

  int calls = 0, begun = 0, ended = 0;
  double most_flops = 0;

 private:
  Watch watch_;
};

// The methods, by name; every test that says "each method" goes through this list.
struct Method {
  using Maker = std::unique_ptr<Step> (*)(const Options&, const Box&, SubproblemKind, Vector);
  std::string name;
  Maker maker;
  SubproblemKind kind;
  bool interior = false;  // never on a wall

  std::unique_ptr<Step> make(const Options& options, const Box& box, const Vector& D = Vector()) const {
    return maker(options, box, kind, D);
  }
  Form form() const { return form_for(kind); }
};

inline const std::vector<Method>& methods() {
  static const std::vector<Method> list = {
      {"LM cholesky", make_levenberg_marquardt, SubproblemKind::cholesky},
      {"LM qr", make_levenberg_marquardt, SubproblemKind::qr},
      {"LM svd", make_levenberg_marquardt, SubproblemKind::svd},
      {"TR cholesky", make_trust_region, SubproblemKind::cholesky, true},
      {"TR qr", make_trust_region, SubproblemKind::qr, true},
      {"TR svd", make_trust_region, SubproblemKind::svd, true},
      {"dogbox cholesky", make_dogbox, SubproblemKind::cholesky},
      {"dogbox qr", make_dogbox, SubproblemKind::qr},
      {"dogbox svd", make_dogbox, SubproblemKind::svd},
      {"auto cholesky", make_adaptive_region, SubproblemKind::cholesky},
      {"auto qr", make_adaptive_region, SubproblemKind::qr},
      {"auto svd", make_adaptive_region, SubproblemKind::svd},
  };
  return list;
}

constexpr SubproblemKind kinds[] = {SubproblemKind::cholesky, SubproblemKind::qr, SubproblemKind::svd};

// A whole solve with everything it borrows.
struct Solve {
  Solve(Residual& residual, const Method& method, const Options& options, const Box& feasible, Observer& observer)
      : step(method.make(options, feasible)),
        problem(residual, feasible.size(), method.form(), observer),
        minimiser(problem, *step, observer, options, feasible) {}

  std::unique_ptr<Step> step;
  Problem problem;
  Minimiser minimiser;
};

}  // namespace marquardt::fakes
