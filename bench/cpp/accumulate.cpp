// Reducing m rows of [J r] to n: by Householder QR (2 m n^2 flops) or to H = J'J, g = J'r (m n^2 flops).
// "rows" grows m at n = 20 and should fit O(N); "columns" grows n at m = 4096 and should fit O(N^2).
// "side_by_side" is "columns" of a J whose rows lie side by side in memory, "threads" splits 20000 x 50 and 2000 x 500
// among that many (wall clock). "blocks" feeds the same rows 1000 at a time, as a stream does.
#include "inputs.hpp"

namespace {

using bench::Index;
using marquardt::Accumulator;
using marquardt::Form;

double flops(Form form, Index m, Index n) {
  const double rows = static_cast<double>(m), columns = static_cast<double>(n + 1);
  return form == Form::gram ? rows * columns * columns : 2 * columns * columns * (rows - columns / 3);
}

void accumulate(benchmark::State& state, Form form, Index m, Index n, Index block) {
  const bench::Matrix J = bench::random_matrix(m, n, 1);
  const bench::Vector r = bench::random_vector(m, 2);
  Accumulator accumulator(form, n);
  for (auto _ : state) {
    accumulator.clear();
    for (Index i = 0; i < m; i += block) {
      const Index k = std::min(block, m - i);
      accumulator.add(J.middleRows(i, k), r.segment(i, k));
    }
    benchmark::DoNotOptimize(accumulator.reduced().g.data());
  }
  bench::report_flops(state, flops(form, m, n));
}

void side_by_side(benchmark::State& state, Form form) {
  const Index m = 4096, n = state.range(0);
  const bench::Matrix transposed = bench::random_matrix(n, m, 1);
  const bench::Vector r = bench::random_vector(m, 2);
  const marquardt::StridedView J(transposed.data(), m, n, {1, n});
  Accumulator accumulator(form, n);
  for (auto _ : state) {
    accumulator.clear();
    accumulator.add(J, r);
    benchmark::DoNotOptimize(accumulator.reduced().g.data());
  }
  bench::report_flops(state, flops(form, m, n));
  state.SetComplexityN(n);
}

void threads(benchmark::State& state, Form form, Index m, Index n) {
  const bench::Matrix J = bench::random_matrix(m, n, 1);
  const bench::Vector r = bench::random_vector(m, 2);
  Accumulator accumulator(form, n, state.range(0));
  for (auto _ : state) {
    accumulator.clear();
    accumulator.add(J, r);
    benchmark::DoNotOptimize(accumulator.reduced().g.data());
  }
  bench::report_flops(state, flops(form, m, n));
}

void rows(benchmark::State& state, Form form) {
  accumulate(state, form, state.range(0), 20, state.range(0));
  state.SetComplexityN(state.range(0));
}

void columns(benchmark::State& state, Form form) {
  accumulate(state, form, 4096, state.range(0), 4096);
  state.SetComplexityN(state.range(0));
}

void blocks(benchmark::State& state, Form form) {
  accumulate(state, form, state.range(0), 20, 1000);
  state.SetComplexityN(state.range(0));
}

BENCHMARK_CAPTURE(rows, triangle, Form::triangle)->RangeMultiplier(4)->Range(16, 1 << 16)->Complexity(benchmark::oN);
BENCHMARK_CAPTURE(rows, gram, Form::gram)->RangeMultiplier(4)->Range(16, 1 << 16)->Complexity(benchmark::oN);
BENCHMARK_CAPTURE(columns, triangle, Form::triangle)
    ->RangeMultiplier(2)
    ->Range(2, 512)
    ->Complexity(benchmark::oNSquared);
BENCHMARK_CAPTURE(columns, gram, Form::gram)->RangeMultiplier(2)->Range(2, 512)->Complexity(benchmark::oNSquared);
BENCHMARK_CAPTURE(side_by_side, triangle, Form::triangle)
    ->RangeMultiplier(2)
    ->Range(2, 512)
    ->Complexity(benchmark::oNSquared);
BENCHMARK_CAPTURE(side_by_side, gram, Form::gram)->RangeMultiplier(2)->Range(2, 512)->Complexity(benchmark::oNSquared);
BENCHMARK_CAPTURE(threads, triangle_20000_50, Form::triangle, 20000, 50)->DenseRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(threads, triangle_2000_500, Form::triangle, 2000, 500)->DenseRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(threads, gram_20000_50, Form::gram, 20000, 50)->DenseRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(threads, gram_2000_500, Form::gram, 2000, 500)->DenseRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(blocks, triangle, Form::triangle)
    ->RangeMultiplier(4)
    ->Range(1 << 12, 1 << 16)
    ->Complexity(benchmark::oN);
BENCHMARK_CAPTURE(blocks, gram, Form::gram)->RangeMultiplier(4)->Range(1 << 12, 1 << 16)->Complexity(benchmark::oN);

}  // namespace
