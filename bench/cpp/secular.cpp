// The alpha for which ||p_hat(alpha)|| = Delta, on a factored model of condition 1e6. Delta is a part of the length of
// the full step: "near" 0.3, "far" 1e-3. The counter `solves` is how many values of alpha were tried.
#include "marquardt/linalg/secular.hpp"

#include "inputs.hpp"

namespace {

using bench::Index;
using bench::Vector;
using marquardt::SubproblemKind;

void secular(benchmark::State& state, SubproblemKind kind, double part) {
  const Index n = state.range(0);
  const auto subproblem = marquardt::make_subproblem(kind);
  const marquardt::Reduced rows = bench::reduced_rows(marquardt::form_for(kind), n, 1);
  marquardt::Model model;
  model.set(rows, rows.column_norms.cwiseInverse(), Vector::Zero(n));
  subproblem->factor(model);
  Vector p(n);
  if (!subproblem->solve(0, p)) return state.SkipWithError("the full step does not exist");
  const double Delta = part * p.norm();
  marquardt::Secular found;
  for (auto _ : state) {
    found = marquardt::secular(*subproblem, model, Delta, 0, p);
    benchmark::DoNotOptimize(found.alpha);
  }
  if (!found.at_edge) return state.SkipWithError("the step was not cut");
  state.counters["solves"] = found.solves;
  state.SetComplexityN(n);
}

void sizes(benchmark::internal::Benchmark* family) { family->RangeMultiplier(4)->Range(4, 256); }

using benchmark::oNCubed;
using benchmark::oNSquared;
BENCHMARK_CAPTURE(secular, cholesky_near, SubproblemKind::cholesky, 0.3)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(secular, cholesky_far, SubproblemKind::cholesky, 1e-3)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(secular, qr_near, SubproblemKind::qr, 0.3)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(secular, qr_far, SubproblemKind::qr, 1e-3)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(secular, svd_near, SubproblemKind::svd, 0.3)->Apply(sizes)->Complexity(oNSquared);
BENCHMARK_CAPTURE(secular, svd_far, SubproblemKind::svd, 1e-3)->Apply(sizes)->Complexity(oNSquared);

}  // namespace
