// A step from reduced rows, for each factorisation: "first" factors and solves for one alpha, "again" solves for
// another alpha of the same model. "curved" has C != 0 as next to a bound. All should fit O(N^3), but "again/svd"
// O(N^2).
#include "inputs.hpp"

namespace {

using bench::Index;
using bench::Vector;
using marquardt::SubproblemKind;

// Nominal counts, leading term: LLT n^3/3; QR of the triangle 4n^3/3 and n^3 to rotate sqrt(alpha) I in;
// singular values with both sets of vectors 22 n^3 (Golub & Van Loan, 4th ed., figure 8.6.1), then two products.
double solve_flops(SubproblemKind kind, double n) {
  if (kind == SubproblemKind::svd) return 4 * n * n;
  return kind == SubproblemKind::qr ? n * n * n : n * n * n / 3;
}

double factor_flops(SubproblemKind kind, double n) {
  if (kind == SubproblemKind::cholesky) return 0;  // it factors anew for each alpha
  return kind == SubproblemKind::qr ? 4 * n * n * n / 3 : 22 * n * n * n;
}

// One model and the factorisation that is measured on it.
struct Setting {
  Setting(SubproblemKind kind, Index n, double curvature)
      : subproblem(marquardt::make_subproblem(kind)), rows(bench::reduced_rows(marquardt::form_for(kind), n, 1)), p(n) {
    model.set(rows, rows.column_norms.cwiseInverse(), Vector::Constant(n, curvature));
  }

  std::unique_ptr<marquardt::Subproblem> subproblem;
  marquardt::Reduced rows;
  marquardt::Model model;
  Vector p;
};

// A damping well inside the range of the squared singular values (1e-12 to 1), so that it matters to some directions.
constexpr double alpha = 1e-4;

void first(benchmark::State& state, SubproblemKind kind, double curvature) {
  const Index n = state.range(0);
  Setting setting(kind, n, curvature);
  for (auto _ : state) {
    setting.subproblem->factor(setting.model);
    benchmark::DoNotOptimize(setting.subproblem->solve(alpha, setting.p));
  }
  const double size = static_cast<double>(n);
  bench::report_flops(state, factor_flops(kind, size) + solve_flops(kind, size));
  state.SetComplexityN(n);
}

void again(benchmark::State& state, SubproblemKind kind) {
  const Index n = state.range(0);
  Setting setting(kind, n, 0);
  setting.subproblem->factor(setting.model);
  for (auto _ : state) benchmark::DoNotOptimize(setting.subproblem->solve(alpha, setting.p));
  bench::report_flops(state, solve_flops(kind, static_cast<double>(n)));
  state.SetComplexityN(n);
}

void sizes(benchmark::internal::Benchmark* family) { family->RangeMultiplier(2)->Range(2, 256); }

using benchmark::oNCubed;
using benchmark::oNSquared;
BENCHMARK_CAPTURE(first, cholesky, SubproblemKind::cholesky, 0.)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(first, qr, SubproblemKind::qr, 0.)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(first, svd, SubproblemKind::svd, 0.)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(first, cholesky_curved, SubproblemKind::cholesky, 0.5)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(first, qr_curved, SubproblemKind::qr, 0.5)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(first, svd_curved, SubproblemKind::svd, 0.5)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(again, cholesky, SubproblemKind::cholesky)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(again, qr, SubproblemKind::qr)->Apply(sizes)->Complexity(oNCubed);
BENCHMARK_CAPTURE(again, svd, SubproblemKind::svd)->Apply(sizes)->Complexity(oNSquared);

}  // namespace
