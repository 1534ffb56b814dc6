// Small plain systems four at a time: lane l of every number belongs to system l.
//
//   A = Q R   by orthogonal projections, column after column (modified Gram-Schmidt): for [0; A] these are the
//             reflectors that TallFactor applies, and [A b] carried along makes R^-1 z as good as theirs
//   x         refined by R'R once or twice with residuals in twice the digits, as LinearSolver does
//
// Lanes cannot branch: a system whose rank, size or condition asks for another way goes to LinearSolver.
// References: Bjorck & Paige (1992), Loss and recapture of orthogonality in the modified Gram-Schmidt algorithm;
// Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 19.8 and chapter 20.
#include "marquardt/solve/linear_stack.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "marquardt/linalg/lanes.hpp"
#include "marquardt/solve/linear_kernels.hpp"

namespace marquardt {
namespace {

constexpr Index width = 4;  // systems at once

// [A b] and its copy, four times: 64 kB, well within the second level of cache.
constexpr Index most_entries = 1024;

struct Shape {
  Index m, rows, n, k;  // rows: m, made even by a row of zeros
};

// Numbers of four systems. A column is `rows` long; R has n + k columns n long.
struct Quartet {
  Shape s;
  double *given, *left;          // [A b], as it is and what projections leave of it
  double *R, *inverse, *length;  // lengths: of the columns of [A b]
  double *x, *x_low, *step;      // n each
  double *r, *r_low;             // rows each
  double *condition, *cost;      // 1; k
  double *all_x, *all_r;         // results of all right-hand sides

  Lanes& at(double* array, Index i) const { return lanes_at(array + width * i); }
};

[[gnu::always_inline]] inline void root(const Lanes& a, Lanes& out) {
  out = Lanes{std::sqrt(a[0]), std::sqrt(a[1]), std::sqrt(a[2]), std::sqrt(a[3])};
}
[[gnu::always_inline]] inline void size(const Lanes& a, Lanes& out) {
  out = Lanes{std::abs(a[0]), std::abs(a[1]), std::abs(a[2]), std::abs(a[3])};
}

// v'c of one or two columns c; even and odd rows apart, so that four sums wait for each other no longer than needed
template <int Q>
[[gnu::always_inline]] inline void products(const double* v, const double* c, Index rows, Lanes& first, Lanes& second) {
  Lanes a{}, b{}, d{}, e{};
  for (Index i = 0; i < width * rows; i += 2 * width) {
    const Lanes &even = lanes_at(v + i), &odd = lanes_at(v + i + width);
    a += even * lanes_at(c + i), b += odd * lanes_at(c + i + width);
    if (Q > 1) d += even * lanes_at(c + width * rows + i), e += odd * lanes_at(c + width * rows + i + width);
  }
  first = a + b;
  if (Q > 1) second = d + e;
}

[[gnu::always_inline]] inline void subtract(const double* v, const Lanes& w, Index rows, double* c) {
  for (Index i = 0; i < width * rows; i += width) lanes_at(c + i) -= lanes_at(v + i) * w;
}

// R and what is left of the right-hand sides; lengths of all columns
[[gnu::always_inline]] inline void project(const Quartet& q) {
  const Index n = q.s.n, all = n + q.s.k, rows = q.s.rows, column = width * rows;
  Lanes first, second, unused;
  for (Index j = 0; j < n; ++j) {
    const double* v = q.left + j * column;
    Lanes square, norm;
    products<1>(v, v, rows, square, unused);
    root(square, norm);
    Lanes one;
    spread(1, one);
    const Lanes inverse = one / norm;
    lanes_at(q.R + width * (j + n * j)) = -norm;  // the sign that reflectors give it
    Index c = j + 1;
    for (; c + 2 <= all; c += 2) {
      products<2>(v, q.left + c * column, rows, first, second);
      first = first * inverse, second = second * inverse;
      lanes_at(q.R + width * (j + n * c)) = -first;
      lanes_at(q.R + width * (j + n * (c + 1))) = -second;
      subtract(v, first * inverse, rows, q.left + c * column);
      subtract(v, second * inverse, rows, q.left + (c + 1) * column);
    }
    if (c < all) {
      products<1>(v, q.left + c * column, rows, first, unused);
      first = first * inverse;
      lanes_at(q.R + width * (j + n * c)) = -first;
      subtract(v, first * inverse, rows, q.left + c * column);
    }
  }
  for (Index c = 0; c < all; ++c) {
    Lanes square{};
    if (c >= n) products<1>(q.left + c * column, q.left + c * column, rows, square, unused);
    for (Index i = 0; i < std::min(c + 1, n); ++i) {
      const Lanes& r = lanes_at(q.R + width * (i + n * c));
      square += r * r;
    }
    root(square, lanes_at(q.length + width * c));
  }
}

// The measure that LinearSolver has for small triangles.
[[gnu::always_inline]] inline void estimate_condition(const Quartet& q) {
  const Index n = q.s.n;
  Lanes sum;
  spread(-static_cast<double>(n - 1), sum);
  for (Index j = 0; j < n; ++j) {
    double* x = q.inverse + width * n * j;
    const Lanes last = lanes_at(q.length + width * j) / lanes_at(q.R + width * (j + n * j));
    lanes_at(x + width * j) = last;
    sum += last * last;
    for (Index i = 0; i < j; ++i) {
      Lanes s{};
      for (Index l = i; l < j; ++l) {
        s += lanes_at(q.inverse + width * (i + n * l)) * lanes_at(q.R + width * (l + n * j));
      }
      s = s / lanes_at(q.length + width * j) * last;
      lanes_at(x + width * i) = -s;
      sum += s * s;
    }
  }
  double least[width];
  for (int l = 0; l < width; ++l) least[l] = sum[l] < 1 ? 1 : sum[l];  // NaN stays
  root(lanes_at(least), lanes_at(q.condition));
}

// x = R^-1 x and x = R^-T x
[[gnu::always_inline]] inline void solve_R(const Quartet& q, double* x) {
  for (Index j = q.s.n - 1; j >= 0; --j) {
    const double* column = q.R + width * q.s.n * j;
    const Lanes xj = lanes_at(x + width * j) / lanes_at(column + width * j);
    lanes_at(x + width * j) = xj;
    for (Index i = 0; i < j; ++i) lanes_at(x + width * i) -= lanes_at(column + width * i) * xj;
  }
}
[[gnu::always_inline]] inline void solve_R_transposed(const Quartet& q, double* x) {
  for (Index j = 0; j < q.s.n; ++j) {
    const double* column = q.R + width * q.s.n * j;
    Lanes sum = lanes_at(x + width * j);
    for (Index i = 0; i < j; ++i) sum -= lanes_at(column + width * i) * lanes_at(x + width * i);
    lanes_at(x + width * j) = sum / lanes_at(column + width * j);
  }
}

// Twice the four times that the bound of a LongSum needs: it is computed with rounding.
constexpr double anchoring = 8;

// r = b - A x in twice the digits; returns ||r||.
[[gnu::always_inline]] inline void long_residual(const Quartet& q, const double* b, const Lanes& b_length, bool low,
                                                 Lanes& norm) {
  Lanes anchor = b_length, square{};
  for (Index j = 0; j < q.s.n; ++j) {
    Lanes part;
    size(lanes_at(q.x + width * j), part);
    anchor += lanes_at(q.length + width * j) * part;
  }
  anchor = anchor * anchoring;
  for (Index i = 0; i < q.s.rows; ++i) {
    LongSum sum;
    begin_sum(anchor, sum);
    const double* a = q.given + width * i;
    for (Index j = 0; j < q.s.n; ++j, a += width * q.s.rows) {
      add_product(lanes_at(a), -lanes_at(q.x + width * j), sum);
      if (low) sum.low -= lanes_at(a) * lanes_at(q.x_low + width * j);
    }
    add_term(lanes_at(b + width * i), sum);
    Lanes &r = lanes_at(q.r + width * i), &r_low = lanes_at(q.r_low + width * i);
    two_sum(sum.high - anchor, sum.low, r, r_low);
    square += r * r;
  }
  root(square, norm);
}

// step = A'r, in twice the digits and rounded
[[gnu::always_inline]] inline void long_gradient(const Quartet& q, const Lanes& norm) {
  for (Index j = 0; j < q.s.n; ++j) {
    LongSum sum;
    const Lanes anchor = lanes_at(q.length + width * j) * norm * anchoring;
    begin_sum(anchor, sum);
    const double* a = q.given + width * q.s.rows * j;
    Lanes low{};  // a chain of its own
    for (Index i = 0; i < width * q.s.rows; i += width) {
      add_product(lanes_at(a + i), lanes_at(q.r + i), sum);
      low += lanes_at(a + i) * lanes_at(q.r_low + i);
    }
    lanes_at(q.step + width * j) = (sum.high - anchor) + (sum.low + low);
  }
}

// True if no lane gains by another step.
[[gnu::always_inline]] inline bool take_step(const Quartet& q) {
  double change[width] = {};
  for (Index j = 0; j < q.s.n; ++j) {
    Lanes &x = lanes_at(q.x + width * j), &low = lanes_at(q.x_low + width * j);
    const Lanes& step = lanes_at(q.step + width * j);
    Lanes more;
    two_sum(x, step, x, more);
    two_sum(x, low + more, x, low);
    for (int l = 0; l < width; ++l) {
      if (step[l] != 0) change[l] = std::max(change[l], std::abs(step[l] / x[l]));
    }
    for (Index i = 0; i < width * q.s.rows; i += width) {
      lanes_at(q.r_low + i) -= lanes_at(q.given + width * q.s.rows * j + i) * step;
    }
  }
  bool done = true;
  for (int l = 0; l < width; ++l) {
    const double condition = q.condition[l];
    if (condition <= linear::well_conditioned && change[l] * condition * condition >= linear::worth_a_step)
      done = false;
  }
  return done;
}

[[gnu::always_inline]] inline void solve_right(const Quartet& q, Index c) {
  const Index n = q.s.n, rows = q.s.rows;
  const double *z = q.R + width * n * (n + c), *b = q.given + width * rows * (n + c);
  for (Index j = 0; j < width * n; ++j) q.x[j] = z[j], q.x_low[j] = 0;
  solve_R(q, q.x);
  for (int step = 0; step < 2; ++step) {
    Lanes norm;
    long_residual(q, b, lanes_at(q.length + width * (n + c)), step > 0, norm);
    long_gradient(q, norm);
    solve_R_transposed(q, q.step);
    solve_R(q, q.step);
    if (take_step(q)) break;
  }
  Lanes square{};
  for (Index i = 0; i < rows; ++i) {
    const Lanes r = lanes_at(q.r + width * i) + lanes_at(q.r_low + width * i);
    lanes_at(q.all_r + width * (i + rows * c)) = r;
    square += r * r;
  }
  lanes_at(q.cost + width * c) = square * 0.5;
  std::copy(q.x, q.x + width * n, q.all_x + width * n * c);
}

struct Solve {
  const Quartet& of;
  [[gnu::always_inline]] void operator()() const {
    const Quartet q = of;
    project(q);
    estimate_condition(q);
    for (Index c = 0; c < q.s.k; ++c) solve_right(q, c);
  }
};

// Storage of a Quartet, and the ways in and out of it.
class Four {
 public:
  explicit Four(const LinearStack& stack) : stack_(stack) {
    const Index m = stack.m, n = stack.n, k = stack.k, rows = m + m % 2, all = n + k;
    const Index sizes[] = {rows * all, rows * all, n * all, n * n, all, n, n, n, rows, rows, 1, k, n * k, rows * k};
    Index total = 0;
    for (const Index size : sizes) total += width * size;
    storage_.resize(static_cast<std::size_t>(total + line));
    double* next = align(storage_.data());
    const Index* size = sizes;
    const auto take = [&] {
      double* taken = next;
      next += width * *size++;
      return taken;
    };
    q_.s = {m, rows, n, k};
    for (double** part : {&q_.given, &q_.left, &q_.R, &q_.inverse, &q_.length, &q_.x, &q_.x_low, &q_.step, &q_.r,
                          &q_.r_low, &q_.condition, &q_.cost, &q_.all_x, &q_.all_r}) {
      *part = take();
    }
  }
  // Systems first, first + 1, ...; the last one again where there are fewer than four.
  void solve(Index first) {
    const Index m = q_.s.m, n = q_.s.n, k = q_.s.k;
    fetch(stack_.A, first, m, n, 0);
    fetch(stack_.b, first, m, k, n);
    std::copy(q_.given, q_.given + width * q_.s.rows * (n + k), q_.left);
    run_widest(Solve{q_});
  }
  // Whether the answer of a lane is one that LinearSolver would give.
  bool good(Index lane, double threshold) const {
    const double condition = q_.condition[lane];
    bool fine = condition <= linear::well_conditioned && condition * threshold < linear::doubtful_rank;
    for (Index c = 0; c < q_.s.n + q_.s.k; ++c) fine = fine && linear::moderate(q_.length[width * c + lane]);
    for (Index c = 0; c < q_.s.k; ++c) fine = fine && q_.cost[width * c + lane] < infinity;
    return fine;
  }
  void put(Index lane, Index item, const LinearStackFit& fit) const {
    const Index m = q_.s.m, n = q_.s.n, k = q_.s.k, rows = q_.s.rows;
    const auto lay = [&](const double* from, Index height, Index used, Index columns, double* to) {
      for (Index i = 0; i < used; ++i) {
        for (Index j = 0; j < columns; ++j) *to++ = from[width * (i + height * j) + lane];
      }
    };
    lay(q_.all_x, n, n, k, fit.x + item * n * k);
    lay(q_.all_r, rows, m, k, fit.residuals + item * m * k);
    lay(q_.cost, 1, 1, k, fit.cost + item * k);
    double* T = fit.triangle + item * n * n;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) T[i * n + j] = j < i ? 0 : q_.R[width * (i + n * j) + lane];
    }
    fit.rank[item] = static_cast<double>(n);
    fit.condition[item] = q_.condition[lane];
  }

 private:
  void fetch(const double* from, Index first, Index m, Index columns, Index column) {
    const double* system[width];
    for (Index l = 0; l < width; ++l) system[l] = from + std::min(first + l, stack_.count - 1) * m * columns;
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < columns; ++j) {
        double* to = q_.given + width * (i + q_.s.rows * (column + j));
        const Index e = i * columns + j;
        to[0] = system[0][e], to[1] = system[1][e], to[2] = system[2][e], to[3] = system[3][e];
      }
    }
  }

  LinearStack stack_;
  std::vector<double> storage_;  // zero at first, and the row that makes rows even stays so
  Quartet q_;
};

// One system by LinearSolver; false if it is not finite.
class OneByOne {
 public:
  OneByOne(const LinearStack& stack, double rcond) : stack_(stack), solver_({LinearMethod::automatic, rcond}) {}
  bool solve(Index item, const LinearStackFit& out) {
    const Index m = stack_.m, n = stack_.n, k = stack_.k;
    const StridedView A(stack_.A + item * m * n, m, n, {1, n}), b(stack_.b + item * m * k, m, k, {1, k});
    if (!solver_.solve(A, b, fit_)) return false;
    const auto lay = [](const Matrix& M, double* to) {
      for (Index i = 0; i < M.rows(); ++i) {
        for (Index j = 0; j < M.cols(); ++j) *to++ = M(i, j);
      }
    };
    lay(fit_.x, out.x + item * n * k);
    lay(fit_.residuals, out.residuals + item * m * k);
    lay(fit_.triangle, out.triangle + item * n * n);
    std::copy(fit_.cost.data(), fit_.cost.data() + k, out.cost + item * k);
    out.rank[item] = static_cast<double>(fit_.rank);
    out.condition[item] = fit_.condition;
    return true;
  }

 private:
  LinearStack stack_;
  LinearSolver solver_;
  LinearFit fit_;
};

}  // namespace

Index solve_stack(const LinearStack& stack, double rcond, const LinearStackFit& fit) {
  const Index m = stack.m, n = stack.n, k = stack.k;
  const double threshold = rcond < 0 ? static_cast<double>(std::max(m, n)) * epsilon : rcond;
  OneByOne alone(stack, rcond);
  if (n > linear::small_triangle || (m + 1) * (n + k) > most_entries || m * n * k > linear::always_refined) {
    for (Index i = 0; i < stack.count; ++i) {
      if (!alone.solve(i, fit)) return i;
    }
    return stack.count;
  }
  Four four(stack);
  for (Index first = 0; first < stack.count; first += width) {
    four.solve(first);
    for (Index lane = 0; lane < std::min(width, stack.count - first); ++lane) {
      if (four.good(lane, threshold)) {
        four.put(lane, first + lane, fit);
      } else if (!alone.solve(first + lane, fit)) {
        return first + lane;
      }
    }
  }
  return stack.count;
}

}  // namespace marquardt
