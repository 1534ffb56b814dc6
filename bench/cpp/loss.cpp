// A robust loss on m residuals: cost and scaled residuals ("transform"), factors on the rows of J ("slopes"). Both
// should fit O(N).
#include "marquardt/problem/loss.hpp"

#include "inputs.hpp"

namespace {

using bench::Vector;
using marquardt::Loss;
using marquardt::LossKind;

void transform(benchmark::State& state, LossKind kind) {
  Loss loss(kind);
  const Vector raw = 3 * bench::random_vector(state.range(0), 1);
  Vector r(raw.size());
  for (auto _ : state) {
    loss.transform(raw, r);
    benchmark::DoNotOptimize(r.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetComplexityN(state.range(0));
}

void slopes(benchmark::State& state, LossKind kind) {
  Loss loss(kind);
  const Vector raw = 3 * bench::random_vector(state.range(0), 1);
  Vector s(raw.size());
  for (auto _ : state) {
    loss.slopes(raw, s);
    benchmark::DoNotOptimize(s.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetComplexityN(state.range(0));
}

void sizes(benchmark::internal::Benchmark* family) {
  family->RangeMultiplier(16)->Range(16, 1 << 16)->Complexity(benchmark::oN);
}

BENCHMARK_CAPTURE(transform, huber, LossKind::huber)->Apply(sizes);
BENCHMARK_CAPTURE(transform, soft_l1, LossKind::soft_l1)->Apply(sizes);
BENCHMARK_CAPTURE(transform, cauchy, LossKind::cauchy)->Apply(sizes);
BENCHMARK_CAPTURE(slopes, huber, LossKind::huber)->Apply(sizes);
BENCHMARK_CAPTURE(slopes, soft_l1, LossKind::soft_l1)->Apply(sizes);
BENCHMARK_CAPTURE(slopes, cauchy, LossKind::cauchy)->Apply(sizes);

}  // namespace
