// The loop. Each pass judges the point it stands on, proposes a trial, and moves or does not:
//
//   record -> judge the point (success? budget? observer?) -> propose -> evaluate -> gain ratio -> lambda or Delta ->
//   move
//
// A rejected trial is simply another pass, so that counts, history and callbacks have one meaning.
#include "marquardt/solve/minimise.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "marquardt/linalg/safe_norm.hpp"

namespace marquardt {
namespace {

// A trial is accepted when it brings at least this share of what was promised (More 1978).
constexpr double least_ratio = 1e-4;
// rho / ||r|| from which on a last full step is not worth its evaluation: x is right to a billionth of its standard
// errors.
constexpr double polished = 1e-9;
// Plateaus left by looking around before giving up; none of the certified problems needs more than one.
constexpr int most_escapes = 3;
// Searches along the full step that found a lower cost: beyond a few, the solve only crawls.
constexpr int most_searches = 10;
// A step longer than this share of x is none of a solve that converges; so many in a row are a drift.
constexpr double long_step = 1e-3;
constexpr int many_long_steps = 3;
// A tenth of x along a doubtful direction changes r by no more than this share where the direction has no effect.
constexpr double aside = 0.1, invisible = 1e-6;
// A parameter whose usual size changes r by no more than this share of ||r||, as far as J knows, may be on a ridge.
constexpr double faint = 1e-6;
// Trials rejected in a row before a wrong J is suspected.
constexpr int failures_to_sharpen = 2;
// The shortest fraction of the full step tried: half the digits, beyond which a fall of the cost is lost in rounding.
constexpr double shortest_search = 1e-8;

// A parameter that has been 0 all along has no size of its own.
double size_of(double largest) { return largest > 0 ? largest : 1; }

}  // namespace

Minimiser::Minimiser(Problem& problem, Step& step, Observer& observer, const Options& options, const Box& box)
    : problem_(problem), step_(step), observer_(observer), options_(options), box_(box), certifier_(box) {}

Status Minimiser::run(const Vector& x0) {
  begin_ = std::chrono::steady_clock::now();
  Status status = start(x0);
  while (status == Status::running) {
    record();
    status = judge_point();
    if (status == Status::running) status = step_.limit();
    if (status == Status::running) status = budget();
    const Status observed = observer_.see(history_, here_);
    if (status == Status::running) status = observed;
    if (status == Status::running) status = pass();
    if (succeeded(status)) status = settle(status);
  }
  return status == Status::stationary && options_.polish ? polish() : status;
}

Status Minimiser::start(const Vector& x0) {
  x0_ = x0;
  step_.admit_start(x0_);
  here_.x = x0_;  // should the first call throw, this is the best point
  problem_.value(x0_, there_);
  static_cast<Value&>(here_) = there_;
  if (!std::isfinite(there_.cost)) return Status::not_finite_start;
  if (!problem_.linearise(there_, next_)) return Status::not_finite_jacobian;
  std::swap(here_, next_);
  linearised_ = true;
  largest_x_ = here_.x.cwiseAbs();
  {
    const Arithmetic arithmetic(observer_, work());
    step_.start(here_);
  }
  certifier_.expect(problem_.derivative_error());
  first_norm_ = here_.norm_r;
  first_optimality_ = step_.optimality();
  if (options_.keep_iterates) history_.iterates.push_back(here_.x);
  return Status::running;
}

// Success, if this is a first-order point; the certificate is asked only where a cheap test says that it may be.
Status Minimiser::judge_point() {
  if (verdict::zero_residual(here_, first_norm_)) return Status::zero_residual;
  // gtol is absolute, but a problem that starts below it (tiny units of r) has to improve on its start by gtol as well
  const double small = options_.gtol * std::min(1.0, first_optimality_);
  const bool gradient_small = options_.gtol > 0 && step_.optimality() <= small;
  const double derivative_error = problem_.derivative_error();
  const double quick = certifier_.quick(here_);
  const bool perhaps_stationary = verdict::stationary(options_, here_, quick, derivative_error);
  const bool anything = gradient_small || perhaps_stationary || candidate_ != Status::running;
  if ((anything || verdict::near_stationary(here_, quick)) && sharpen()) return judge_point();
  const Status candidate = std::exchange(candidate_, Status::running);
  if (!anything) return Status::running;

  const Arithmetic arithmetic(observer_, work_of_certificate());
  const Certificate& c = certifier_.certify(here_);
  const double typical = certifier_.measure(largest_x_);
  if (gradient_small && verdict::confirmed(Status::gradient, options_, here_, c, typical, first_norm_))
    return Status::gradient;
  for (const Status s : {Status::cost_and_step, Status::cost, Status::step}) {
    const bool proposed = s == candidate || candidate == Status::cost_and_step;
    if (proposed && verdict::confirmed(s, options_, here_, c, typical, first_norm_)) return s;
  }
  const bool stationary = verdict::stationary(options_, here_, c.rho, derivative_error) && !drifting(c);
  return stationary ? Status::stationary : Status::running;
}

Status Minimiser::pass() {
  Record& made = history_.records.back();
  const Trial& trial = [&]() -> const Trial& {
    const Arithmetic arithmetic(observer_, work());
    return step_.propose(here_);
  }();
  if (trial.usable && safe_norm(trial.x - x0_) > options_.max_dx) return Status::distance_limit;
  there_.cost = infinity;
  if (trial.usable) problem_.value(trial.x, there_);
  const double fall = cost_fall(here_, there_);
  const double rounding = verdict::cost_rounding(here_);
  double ratio = verdict::gain_ratio(fall, trial.predicted, rounding);
  bool accept = fall > 0 && ratio > least_ratio;
  if (accept) sharpen_ahead();
  if (accept && !problem_.linearise(there_, next_)) {  // no Jacobian there: as good as no value there
    accept = false;
    ratio = -1;
  }
  made.step_norm = trial.size;
  made.actual = fall;
  made.predicted = trial.predicted;
  made.ratio = ratio;
  made.accepted = accept;
  candidate_ = verdict::step_test(options_, trial, here_.cost, fall, ratio);
  if (std::isfinite(there_.cost)) step_.learn(here_, there_);
  step_.judge(ratio, trial);
  if (accept) {
    failures_ = 0;
    long_steps_ = trial.size > long_step * trial.reference ? long_steps_ + 1 : 0;
    move();
    const Arithmetic arithmetic(observer_, work());
    step_.adopt(here_);
    return Status::running;
  }
  const bool unresolvable = trial.predicted <= rounding || trial.size <= 2 * here_.precision * trial.reference;
  if (unresolvable || step_.exhausted()) return ending_without_progress();
  if (++failures_ >= failures_to_sharpen) sharpen();
  return Status::running;
}

// The method sees no trial that lowers the cost from here. Whether that is a success, the certificate knows.
Status Minimiser::ending_without_progress() {
  if (sharpen()) return Status::running;
  const Certificate c = [&] {
    const Arithmetic arithmetic(observer_, work_of_certificate());
    return certifier_.certify(here_);
  }();
  const double typical = certifier_.measure(largest_x_);
  for (const Status s : {Status::gradient, Status::cost, Status::step}) {
    const bool wanted = s == Status::gradient ? options_.gtol > 0 && step_.optimality() <= options_.gtol
                        : s == Status::cost   ? options_.ftol > 0
                                              : options_.xtol > 0;
    if (wanted && verdict::confirmed(s, options_, here_, c, typical, first_norm_)) return s;
  }
  const bool visible = 0.5 * c.rho * c.rho > verdict::cost_rounding(here_);  // what the full step promises
  if ((visible && search_along(c.p)) || search_along(c.doubtful) || search_along(-c.doubtful)) return Status::running;
  if (verdict::as_good_as_stationary(here_, c) && !drifting(c)) return Status::stationary;
  if (verdict::degenerate_minimum(here_, c, certifier_.quick(here_), problem_.derivative_error())) {
    return Status::stationary;
  }
  if (!visible) return at_the_bottom() ? Status::stationary : Status::precision_limit;
  if (fresh_starts_++ > 0) {
    if (at_the_bottom()) return Status::stationary;
    return step_.limit() == Status::running ? Status::stalled : step_.limit();
  }
  const Arithmetic arithmetic(observer_, work());
  step_.start(here_);  // once: the running maximum of the column norms may be what holds the method back
  return Status::running;
}

// A method may be stuck where the function is not: normal equations, damping or radius can hide a direction that the
// certificate's accurate full step shows, and errors of J can spoil that step's length and sign where J is nearly
// singular. Tries p and p shortened tenfold at a time; the first fall restarts the method.
bool Minimiser::search_along(const Vector& p) {
  const double least_fall = verdict::cost_rounding(here_);
  for (double t = 1; t >= shortest_search && searches_ < most_searches; t *= 0.1) {
    if (problem_.counts().nfev >= options_.max_nfev) return false;
    Vector x = here_.x + t * p;
    if (!admissible(x)) continue;
    problem_.value(x, there_);
    const double fall = cost_fall(here_, there_);
    if (!(fall > least_fall) || !problem_.linearise(there_, next_)) continue;
    if (fall > verdict::cost_rounding(next_)) {  // far out r rounds more coarsely
      ++searches_;
      restart(fall);
      return true;
    }
  }
  return false;
}

// Whether x runs along a curved valley that J's errors hide: the path still went on in long steps, and so would the
// full one, in a direction that the differences do not resolve. Where the minimum lies at infinity nothing else gives
// it away. Parameters of which only a combination matters do not drift: along theirs r stays what it is.
bool Minimiser::drifting(const Certificate& c) {
  const bool doubtful = c.doubtful.size() > 0 && c.doubtful.any() && c.size > long_step * c.reference;
  if (long_steps_ < many_long_steps || !doubtful || problem_.counts().nfev >= options_.max_nfev) return false;
  Vector x = here_.x + aside * c.doubtful;
  if (!admissible(x)) return false;
  problem_.value(x, there_);
  const bool the_same = std::isfinite(there_.cost) && (there_.r - here_.r).norm() <= invisible * here_.norm_r;
  return !the_same;
}

// A single free parameter at the bottom of its own parabola, which J alone does not show where it vanishes there.
bool Minimiser::at_the_bottom() {
  Index free = 0, last = 0;
  for (Index j = 0; j < box_.size(); ++j) {
    if (!box_.fixed(j)) {
      ++free;
      last = j;
    }
  }
  if (free != 1 || problem_.counts().nfev + 3 > options_.max_nfev) return false;
  const double typical = size_of(largest_x_[last]);
  const double rounding = verdict::cost_rounding(here_);
  const std::optional<double> vertex =
      bottom_along(problem_, here_, last, typical, rounding, [this](Vector& x) { return admissible(x); });
  if (!vertex) return false;
  Vector x = here_.x;
  x[last] += *vertex;
  if (!admissible(x)) return true;
  problem_.value(x, there_);
  const double fall = cost_fall(here_, there_);
  if (fall >= -rounding && problem_.linearise(there_, next_)) {
    move_freely(fall);
    step_.adopt(here_);
    record();
    observer_.see(history_, here_);  // the last word either way
  }
  return true;
}

// Before the Jacobian of an accepted trial: where the old one already says that the trial is nearly stationary, the
// accurate one is due at once.
void Minimiser::sharpen_ahead() {
  if (!problem_.refinable()) return;
  here_.J.pull(there_.r, pull_);
  double quick = 0;
  for (Index j = 0; j < box_.size(); ++j) {
    const double norm = here_.rows.column_norms[j];
    if (norm > 0 && !box_.fixed(j)) quick = std::max(quick, std::abs(pull_[j]) / norm);
  }
  if (!verdict::near_stationary(here_, quick)) return;
  problem_.refine();
  certifier_.expect(problem_.derivative_error());
}

// A more accurate Jacobian for the point it stands on, where there is one to be had.
bool Minimiser::sharpen() {
  if (!problem_.refinable()) return false;
  problem_.refine();
  certifier_.expect(problem_.derivative_error());
  if (!problem_.linearise(here_, next_)) return false;  // central points outside the function's domain: J as it was
  std::swap(here_, next_);
  const Arithmetic arithmetic(observer_, work());
  step_.adopt(here_);
  return true;
}

// Before a success is claimed: a free parameter whose column is zero, or lost in the errors of differences, is looked
// at elsewhere. A lower cost there is where the solve goes on.
Status Minimiser::settle(Status success) {
  if (success == Status::zero_residual) return success;
  for (Index j = 0; j < box_.size(); ++j) {
    const double typical = size_of(largest_x_[j]);
    const bool zero = here_.rows.column_norms[j] == 0;
    if (box_.fixed(j) || !(here_.rows.column_norms[j] * typical <= faint * here_.norm_r)) continue;
    if (problem_.counts().nfev + most_looks + 1 > options_.max_nfev) {
      if (zero) return Status::max_evaluations;
      continue;
    }
    const Surroundings found = look_around(
        problem_, here_, j, typical, verdict::cost_rounding(here_), [this](Vector& x) { return admissible(x); },
        there_);
    if (zero && found == Surroundings::plateau) return Status::flat;
    if (found != Surroundings::lower) continue;
    if (++escapes_ > most_escapes || !problem_.linearise(there_, next_)) return Status::flat;
    restart(cost_fall(here_, there_));
    return Status::running;
  }
  return success;
}

// At a stationary point the cost can no longer tell points apart, but rho still can: a last full step, kept if it
// lowers rho and the cost does not rise beyond rounding. Worth about a digit in x.
Status Minimiser::polish() {
  const Status here = Status::stationary;
  if (budget() != Status::running) return here;
  const Certificate before = certifier_.certify(here_);
  Vector x = here_.x + before.p;
  const bool starts_there = accepted_ == 0 && before.rho <= here_.noise();
  if (before.rho <= polished * here_.norm_r || starts_there || !admissible(x)) return here;
  problem_.value(x, there_);
  const double fall = cost_fall(here_, there_);
  if (!(fall >= -10 * verdict::cost_rounding(here_)) || !problem_.linearise(there_, next_)) return here;
  if (!(certifier_.certify(next_).rho < before.rho)) return here;
  move_freely(fall);
  step_.adopt(here_);
  record();
  const Status observed = observer_.see(history_, here_);
  return observed == Status::running ? here : observed;
}

// Moves x to where the method may evaluate it; false if there is no such point other than here, or it is too far away.
bool Minimiser::admissible(Vector& x) const {
  if (!x.allFinite()) return false;
  step_.admit(x);
  return x != here_.x && safe_norm(x - x0_) <= options_.max_dx;
}

// To the point found outside the method's own steps, where it starts afresh.
void Minimiser::restart(double fall) {
  move_freely(fall);
  const Arithmetic arithmetic(observer_, work());
  step_.start(here_);
}

// A move that the method did not propose: a pass of its own, without a prediction.
void Minimiser::move_freely(double fall) {
  if (!std::isnan(history_.records.back().step_norm)) record();
  Record& made = history_.records.back();
  made.step_norm = certifier_.measure(next_.x - here_.x);
  made.actual = fall;
  made.accepted = true;
  move();
}

void Minimiser::move() {
  std::swap(here_, next_);
  ++accepted_;
  largest_x_ = largest_x_.cwiseMax(here_.x.cwiseAbs());
  if (options_.keep_iterates) history_.iterates.push_back(here_.x);
}

void Minimiser::record() {
  const Counts counts = problem_.counts();
  Record r;
  r.iteration = accepted_;
  r.nfev = counts.nfev;
  r.njev = counts.njev;
  r.cost = here_.cost;
  r.optimality = step_.optimality();
  r.grad_norm = here_.g().lpNorm<Eigen::Infinity>();
  r.control = step_.control();
  history_.records.push_back(r);
}

// The clock is read where there is a limit only: without one that is a noticeable part of a small step.
Status Minimiser::budget() const {
  const double spent = options_.max_time < infinity ? seconds() : 0;
  return verdict::budget_test(options_, problem_.counts(), accepted_, spent);
}

double Minimiser::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

double Minimiser::work_of_certificate() const {
  const auto m = static_cast<double>(here_.r.size()), n = static_cast<double>(problem_.parameters());
  return 4 * work() + (here_.rows.form == Form::gram ? 2 * m * n * n : 0);
}

double Minimiser::work() const {
  const auto n = static_cast<double>(problem_.parameters());
  return 4 * n * n * n;
}

}  // namespace marquardt
