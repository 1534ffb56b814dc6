// From a Point to a Trial: which alpha, and what about the bounds? One contract, two methods.
#pragma once

#include <memory>

#include "marquardt/base/box.hpp"
#include "marquardt/base/options.hpp"
#include "marquardt/base/status.hpp"
#include "marquardt/linalg/subproblem.hpp"
#include "marquardt/problem/problem.hpp"

namespace marquardt {

struct Trial {
  Vector x, p;
  double predicted = 0;  // fall of the cost that the model promises
  double size = 0;       // ||D p||
  double reference = 0;  // ||D x|| in the same scaling
  bool usable = false;   // finite, and x has changed
  bool cut = false;      // shortened by the method itself: damping apart, the full step would be longer
};

class Step {
 public:
  virtual ~Step() = default;
  virtual void admit(Vector& x) const = 0;                 // into the box, or strictly inside it
  virtual void admit_start(Vector& x) const { admit(x); }  // the same for x0
  virtual void start(const Point& here) = 0;               // scaling, lambda or Delta afresh; includes adopt
  virtual void adopt(const Point& here) = 0;               // scale, factor, measure optimality
  virtual const Trial& propose(const Point& here) = 0;
  virtual void learn(const Point& /*here*/, const Value& /*there*/) {}  // r at a finite trial, before it is judged
  virtual void judge(double ratio, const Trial& trial) = 0;             // lambda or Delta grows or shrinks
  virtual bool exhausted() const = 0;                                   // no shorter step can be tried
  virtual Status limit() const = 0;       // the caller's limit of lambda or Delta, if it is passed; else running
  virtual double optimality() const = 0;  // what this method drives to zero
  virtual double control() const = 0;     // lambda or Delta, for the history
  virtual Index rank() const = 0;         // of the factored, scaled Jacobian
};

// Column scaling D: the running maximum of the column norms (More 1978), or constants from the caller.
// A column that has always been zero has D = 1.
class Scaling {
 public:
  explicit Scaling(Vector constants = Vector()) : constants_(std::move(constants)) {}
  void restart() { seen_.resize(0); }
  void update(const Vector& column_norms);
  const Vector& D() const { return D_; }

 private:
  Vector constants_;  // empty: running maximum
  Vector seen_, D_;
};

std::unique_ptr<Step> make_levenberg_marquardt(const Options& options, const Box& box, SubproblemKind kind, Vector D);
std::unique_ptr<Step> make_trust_region(const Options& options, const Box& box, SubproblemKind kind, Vector D);
std::unique_ptr<Step> make_dogbox(const Options& options, const Box& box, SubproblemKind kind, Vector D);
std::unique_ptr<Step> make_adaptive_region(const Options& options, const Box& box, SubproblemKind kind, Vector D);

}  // namespace marquardt
