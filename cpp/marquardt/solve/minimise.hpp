// The loop: when do we move, when do we stop? One loop for every method, bounded or not.
#pragma once

#include <chrono>

#include "marquardt/base/host.hpp"
#include "marquardt/solve/flat.hpp"
#include "marquardt/solve/history.hpp"
#include "marquardt/solve/verdict.hpp"

namespace marquardt {

// Sees every pass before its trial. A status other than running ends the solve there. It is the solve's host as well.
class Observer : public Host {
 public:
  virtual Status see(const History& /*history*/, const Point& /*here*/) { return Status::running; }
};

class Minimiser {
 public:
  // `box` is the whole feasible set; x0 is moved into it. Everything is borrowed for the life of the Minimiser.
  Minimiser(Problem& problem, Step& step, Observer& observer, const Options& options, const Box& box);

  // Runs to an end. The user's exceptions fly through; the best point so far stays readable below.
  Status run(const Vector& x0);

  const Point& best() const { return here_; }
  const History& history() const { return history_; }
  bool linearised() const { return linearised_; }  // false: only x, r and the cost of best() are filled
  Index iterations() const { return accepted_; }
  const Step& step() const { return step_; }
  double seconds() const;                                                          // since run began
  Eigen::VectorXi active() const { return certifier_.active(here_, largest_x_); }  // only where linearised

 private:
  Status start(const Vector& x0);
  Status judge_point();
  Status pass();
  Status ending_without_progress();
  Status settle(Status success);
  Status budget() const;
  Status polish();
  bool search_along(const Vector& p);
  bool sharpen();
  void sharpen_ahead();
  bool at_the_bottom();
  bool drifting(const Certificate& c);
  bool admissible(Vector& x) const;
  void restart(double fall);
  void move_freely(double fall);
  void move();
  void record();
  double work() const;                 // order of the arithmetic of one factorisation of the n x n triangle
  double work_of_certificate() const;  // of a few, and of a new triangle where there is none

  Problem& problem_;
  Step& step_;
  Observer& observer_;
  Options options_;
  Box box_;
  Certifier certifier_;
  Point here_, next_;
  Value there_;
  History history_;
  Vector x0_, largest_x_, pull_;
  Status candidate_ = Status::running;
  double first_norm_ = 0, first_optimality_ = 0;
  Index accepted_ = 0;
  int escapes_ = 0, searches_ = 0, fresh_starts_ = 0, failures_ = 0, long_steps_ = 0;
  bool linearised_ = false;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace marquardt
