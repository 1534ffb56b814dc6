// A Jacobian by finite differences of r_i = exp(-x_j t_i) summed over j: "parameters" grows n at m = 200, where the
// n or 2n evaluations of n exponentials a residual should fit O(N^2). The counter `evaluations` is how many there are.
#include "inputs.hpp"
#include "marquardt/problem/difference.hpp"

namespace {

using bench::Index;
using bench::Matrix;
using bench::Vector;
using marquardt::Scheme;

struct Decays : marquardt::Function {
  Decays() : t(Vector::LinSpaced(200, 0, 4)) {}
  void value(const Vector& x, Vector& r) override {
    r.setZero(t.size());
    for (Index j = 0; j < x.size(); ++j) r.array() += (-x[j] * t.array()).exp();
  }
  void values(const Matrix& X, Matrix& R) override {
    R.resize(t.size(), X.cols());
    Vector r;
    for (Index k = 0; k < X.cols(); ++k) {
      value(X.col(k), r);
      R.col(k) = r;
    }
  }
  void values(const Eigen::MatrixXcd& X, Eigen::MatrixXcd& R) override {
    R.setZero(t.size(), X.cols());
    for (Index k = 0; k < X.cols(); ++k) {
      for (Index j = 0; j < X.rows(); ++j) R.col(k).array() += (-X(j, k) * t.array()).exp();
    }
  }
  Vector t;
};

void parameters(benchmark::State& state, Scheme scheme) {
  const Index n = state.range(0);
  Decays function;
  marquardt::Differenced differenced(function, scheme, marquardt::Box::infinite(n), false, Vector());
  const Vector x = Vector::LinSpaced(n, 0.5, 2);
  Vector r;
  marquardt::Jacobian J;
  differenced.value(x, r);
  const Index before = differenced.difference_evaluations();
  for (auto _ : state) {
    differenced.jacobian(x, r, J);
    benchmark::DoNotOptimize(J.own().data());
  }
  const auto spent = static_cast<double>(differenced.difference_evaluations() - before);
  state.counters["evaluations"] = benchmark::Counter(spent, benchmark::Counter::kAvgIterations);
  state.SetComplexityN(n);
}

void sizes(benchmark::internal::Benchmark* family) {
  family->RangeMultiplier(4)->Range(2, 128)->Complexity(benchmark::oNSquared);
}

BENCHMARK_CAPTURE(parameters, two_point, Scheme::two_point)->Apply(sizes);
BENCHMARK_CAPTURE(parameters, three_point, Scheme::three_point)->Apply(sizes);
BENCHMARK_CAPTURE(parameters, complex_step, Scheme::complex_step)->Apply(sizes);

}  // namespace
