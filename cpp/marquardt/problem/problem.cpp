#include "marquardt/problem/problem.hpp"

#include <cassert>
#include <chrono>
#include <cmath>
#include <utility>

namespace marquardt {
namespace {

// Householder QR of m x (n + 1) takes about 2 m n^2; the Gram form half of it.
double reduction_flops(Form form, Index m, Index n) {
  const double rows = static_cast<double>(m), columns = static_cast<double>(n);
  return (form == Form::triangle ? 2 : 1) * rows * columns * (columns + 1);
}

// Adds the time it lives to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds), begin_(Clock::now()) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(Clock::now() - begin_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& seconds_;
  Clock::time_point begin_;
};

// Whether J was finite, and its products did not overflow: an entry that is not finite is in the norm of its column.
bool finite(const Reduced& rows) {
  const Matrix& square = rows.form == Form::triangle ? rows.R : rows.H;
  return rows.column_norms.allFinite() && rows.g.allFinite() && square.allFinite();
}

}  // namespace

Problem::Problem(Residual& residual, Index n, Form form, Rows rows, Host& host, Loss loss)
    : residual_(residual), loss_(std::move(loss)), n_(n), form_(form), rows_(std::move(rows)), host_(host) {}

Problem::Problem(Residual& residual, Index n, Form form, Host& host, Loss loss)
    : Problem(residual, n, form, Accumulator(form, n), host, std::move(loss)) {}

Problem::Problem(Residual& residual, Index n, SubproblemKind kind, Host& host, Loss loss)
    : Problem(residual, n, form_for(kind), rows_for(kind, n), host, std::move(loss)) {}

Problem::Rows Problem::rows_for(SubproblemKind kind, Index n) {
  if (kind == SubproblemKind::automatic) return SafeRows(n);
  return Accumulator(form_for(kind), n);
}

void Problem::use_threads(Index threads) {
  std::visit([&](auto& rows) { rows.use_threads(threads); }, rows_);
}

Counts Problem::counts() const {
  Counts counts = counts_;
  counts.differences = residual_.difference_evaluations();
  return counts;
}

void Problem::value(const Vector& x, Value& at) {
  assert(x.size() == n_);
  ++counts_.nfev;
  at.x = x;
  at.cost = infinity;
  Vector& own = loss_.linear() ? at.r : at.raw;
  {
    const Stopwatch stopwatch(counts_.seconds_value);
    residual_.value(x, own);
  }
  if (!own.allFinite()) {  // before the loss: a bounded one would make a number of infinity
    at.r = own;
    return;
  }
  if (!loss_.linear()) loss_.transform(at.raw, at.r);
  const double cost = 0.5 * at.r.squaredNorm();
  if (std::isfinite(cost)) at.cost = cost;
}

bool Problem::linearise(const Value& value, Point& at) {
  assert(std::isfinite(value.cost));
  ++counts_.njev;
  {
    const Stopwatch stopwatch(counts_.seconds_jacobian);
    residual_.jacobian(value.x, loss_.linear() ? value.r : value.raw, at.J);
  }
  assert(at.J.rows() == value.r.size() && at.J.cols() == n_);
  const Arithmetic arithmetic(host_, reduction_flops(form_, at.J.rows(), n_));
  if (!loss_.linear()) {
    loss_.slopes(value.raw, slopes_);
    at.J.scale_rows(slopes_);
    at.raw = value.raw;
  }
  reduce(at.J.view(), value.r, at.rows);
  if (!finite(at.rows)) return false;
  at.x = value.x;
  at.r = value.r;
  at.cost = value.cost;
  at.precision = residual_.precision();
  at.norm_r = std::sqrt(2 * value.cost);
  at.terms = at.rows.column_norms.dot(at.x.cwiseAbs());
  return true;
}

void Problem::reduce(const StridedView& J, const Vector& r, Reduced& rows) {
  if (auto* safe_rows = std::get_if<SafeRows>(&rows_)) {
    safe_rows->reduce(J, r, rows);
  } else {
    rows = std::get<Accumulator>(rows_).reduce(J, r);
  }
}

double cost_fall(const Value& a, const Value& b) {
  if (!std::isfinite(b.cost)) return -infinity;
  return 0.5 * (a.r - b.r).dot(a.r + b.r);
}

}  // namespace marquardt
