// Random inputs with fixed seeds, and the counter every benchmark reports.
#pragma once

#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "marquardt/base/types.hpp"
#include "marquardt/linalg/accumulator.hpp"
#include "marquardt/linalg/subproblem.hpp"

namespace bench {

using marquardt::Index;
using marquardt::Matrix;
using marquardt::Vector;

inline Matrix random_matrix(Index rows, Index columns, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  return Matrix::NullaryExpr(rows, columns, [&](Index, Index) { return normal(engine); });
}

inline Vector random_vector(Index n, unsigned seed) { return random_matrix(n, 1, seed).col(0); }

// m x n with columns of length about 1 and a condition number of about 1e6: column j leans towards its neighbour, all
// but a part falling from 1 to 1e-6.
inline Matrix leaning_matrix(Index m, Index n, unsigned seed) {
  Matrix J = random_matrix(m, n, seed) / std::sqrt(static_cast<double>(m));
  for (Index j = 1; j < n; ++j) {
    const double own = std::pow(10., -6. * static_cast<double>(j) / static_cast<double>(n));
    J.col(j) = J.col(j - 1) + own * J.col(j);
  }
  return J;
}

// The reduced rows of a leaning 4n x n Jacobian in one form or the other.
inline marquardt::Reduced reduced_rows(marquardt::Form form, Index n, unsigned seed) {
  marquardt::Accumulator accumulator(form, n);
  accumulator.add(leaning_matrix(4 * n, n, seed), random_vector(4 * n, seed + 1));
  return accumulator.reduced();
}

// Shown as a rate, e.g. 12.3G/s. `flops` is what the textbook algorithm needs for one iteration.
inline void report_flops(benchmark::State& state, double flops) {
  state.counters["flop"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace bench
