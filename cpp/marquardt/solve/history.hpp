// What happened, pass by pass: where the pass started, and the trial that it made.
#pragma once

#include <deque>
#include <vector>

#include "marquardt/base/types.hpp"

namespace marquardt {

struct Record {
  // where the pass started
  Index iteration = 0;  // accepted steps so far
  Index nfev = 0, njev = 0;
  double cost = 0;
  double optimality = 0;  // what the method drives to zero
  double grad_norm = 0;   // largest component of J'r
  double control = 0;     // lambda or Delta the trial is made with
  // the trial; NaN in the last record, which made none
  double step_norm = std::numeric_limits<double>::quiet_NaN();  // ||D p||
  double actual = std::numeric_limits<double>::quiet_NaN();     // fall of the cost
  double predicted = std::numeric_limits<double>::quiet_NaN();
  double ratio = std::numeric_limits<double>::quiet_NaN();
  bool accepted = false;
};

struct History {
  std::deque<Record> records;
  std::vector<Vector> iterates;  // every accepted x, if asked for
};

}  // namespace marquardt
