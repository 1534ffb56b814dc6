// Whole solves through the C++ interface, set-up included, with compiled residuals: Rosenbrock from (-1.2, 1), and a
// fit of a exp(-b t) + c to m points, which should fit O(N). The counters are the evaluations that each solve made.
#include "inputs.hpp"
#include "marquardt/solve/minimise.hpp"

namespace {

using bench::Index;
using bench::Matrix;
using bench::Vector;
using marquardt::SubproblemKind;

struct Rosenbrock : marquardt::Residual {
  void value(const Vector& x, Vector& r) override {
    r.resize(2);
    r << 10 * (x[1] - x[0] * x[0]), 1 - x[0];
  }
  void jacobian(const Vector& x, const Vector& /*r*/, marquardt::Jacobian& J) override {
    Matrix& own = J.own();
    own.resize(2, 2);
    own << -20 * x[0], 10, -1, 0;
  }
};

// r = x0 exp(-x1 t) + x2 - y; y is the curve of (2.5, 1.3, 0.5) with noise of 0.05.
struct Decay : marquardt::Residual {
  explicit Decay(Index m) : t(Vector::LinSpaced(m, 0, 4)) {
    y = 2.5 * (-1.3 * t.array()).exp() + 0.5 + 0.05 * bench::random_vector(m, 1).array();
  }
  void value(const Vector& x, Vector& r) override { r = x[0] * (-x[1] * t.array()).exp() + x[2] - y.array(); }
  void jacobian(const Vector& x, const Vector& /*r*/, marquardt::Jacobian& J) override {
    Matrix& own = J.own();
    own.resize(t.size(), 3);
    own.col(0) = (-x[1] * t.array()).exp();
    own.col(1) = -x[0] * t.array() * own.col(0).array();
    own.col(2).setOnes();
  }
  Vector t, y;
};

using MakeStep = decltype(&marquardt::make_trust_region);

void solve(benchmark::State& state, marquardt::Residual& residual, const Vector& x0, MakeStep make_step,
           SubproblemKind kind) {
  const Index n = x0.size();
  marquardt::Options options;
  options.ftol = options.xtol = options.gtol = 1e-8;
  const auto box = marquardt::Box::infinite(n);
  const marquardt::Form form = marquardt::form_for(kind);
  marquardt::Counts counts;
  for (auto _ : state) {
    marquardt::Observer observer;
    marquardt::Problem problem(residual, n, form, observer);
    const auto step = make_step(options, box, kind, Vector());
    marquardt::Minimiser minimiser(problem, *step, observer, options, box);
    if (!succeeded(minimiser.run(x0))) return state.SkipWithError("not solved");
    counts = problem.counts();
  }
  state.counters["nfev"] = static_cast<double>(counts.nfev);
  state.counters["njev"] = static_cast<double>(counts.njev);
}

void rosenbrock(benchmark::State& state, MakeStep make_step, SubproblemKind kind) {
  Rosenbrock residual;
  solve(state, residual, Eigen::Vector2d(-1.2, 1), make_step, kind);
}

void decay(benchmark::State& state, MakeStep make_step, SubproblemKind kind) {
  Decay residual(state.range(0));
  solve(state, residual, Eigen::Vector3d(1, 1, 0), make_step, kind);
  state.SetComplexityN(state.range(0));
}

void sizes(benchmark::internal::Benchmark* family) {
  family->RangeMultiplier(10)->Range(50, 50000)->Complexity(benchmark::oN);
}

constexpr MakeStep lm = marquardt::make_levenberg_marquardt, tr = marquardt::make_trust_region;
BENCHMARK_CAPTURE(rosenbrock, lm_cholesky, lm, SubproblemKind::cholesky);
BENCHMARK_CAPTURE(rosenbrock, lm_qr, lm, SubproblemKind::qr);
BENCHMARK_CAPTURE(rosenbrock, tr_cholesky, tr, SubproblemKind::cholesky);
BENCHMARK_CAPTURE(rosenbrock, tr_qr, tr, SubproblemKind::qr);
BENCHMARK_CAPTURE(rosenbrock, tr_svd, tr, SubproblemKind::svd);
BENCHMARK_CAPTURE(decay, lm_cholesky, lm, SubproblemKind::cholesky)->Apply(sizes);
BENCHMARK_CAPTURE(decay, lm_qr, lm, SubproblemKind::qr)->Apply(sizes);
BENCHMARK_CAPTURE(decay, tr_cholesky, tr, SubproblemKind::cholesky)->Apply(sizes);
BENCHMARK_CAPTURE(decay, tr_qr, tr, SubproblemKind::qr)->Apply(sizes);
BENCHMARK_CAPTURE(decay, tr_svd, tr, SubproblemKind::svd)->Apply(sizes);

}  // namespace
