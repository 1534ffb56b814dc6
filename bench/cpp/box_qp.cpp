// A box QP whose box cuts off about half of the variables. "cold" starts in the middle of the box, "warm" at the
// solution for a gradient 1 % away, as in successive steps of a fit. The counter `systems` is how many reduced Newton
// systems were solved; `flop` counts their Cholesky factorisations at the final number of free variables.
#include "marquardt/linalg/box_qp.hpp"

#include <Eigen/Cholesky>

#include "inputs.hpp"

namespace {

using bench::Index;
using bench::Matrix;
using bench::Vector;

void box_qp(benchmark::State& state, bool warm) {
  const Index n = state.range(0);
  const Matrix J = bench::random_matrix(2 * n, n, 1);
  const Matrix H = J.transpose() * J;
  const Vector g = J.transpose() * bench::random_vector(2 * n, 2);
  const Vector g_before = g + 0.01 * g.norm() / std::sqrt(static_cast<double>(n)) * bench::random_vector(n, 3);

  // Walls at half the typical component of the free minimiser.
  const double wall = 0.5 * H.ldlt().solve(g).cwiseAbs().mean();
  const Vector upper = Vector::Constant(n, wall), lower = -upper;
  marquardt::BoxQp solver;
  Vector begin = Vector::Zero(n), x;
  if (warm) solver.solve(H, g_before, lower, upper, begin);

  marquardt::BoxQpReport report;
  for (auto _ : state) {
    x = begin;
    report = solver.solve(H, g, lower, upper, x);
    benchmark::DoNotOptimize(x.data());
  }
  if (!report.solved) return state.SkipWithError("not solved");
  const double held = static_cast<double>(solver.active().cwiseAbs().sum()), free = static_cast<double>(n) - held;
  state.counters["held"] = held;
  state.counters["systems"] = report.iterations;
  bench::report_flops(state, report.iterations * free * free * free / 3);
  state.SetComplexityN(n);
}

BENCHMARK_CAPTURE(box_qp, cold, false)->RangeMultiplier(2)->Range(2, 256)->Complexity(benchmark::oNCubed);
BENCHMARK_CAPTURE(box_qp, warm, true)->RangeMultiplier(2)->Range(2, 256)->Complexity(benchmark::oNCubed);

}  // namespace
