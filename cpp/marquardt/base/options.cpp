#include "marquardt/base/options.hpp"

#include <cmath>
#include <sstream>
#include <stdexcept>

namespace marquardt {
namespace {

constexpr Index most_threads = 1024;  // more are a mistake: each has buffers of its own

template <class T>
[[noreturn]] void refuse(const char* name, const T& value, const char* rule) {
  std::ostringstream text;
  text << name << " must be " << rule << ", got " << value;
  throw std::invalid_argument(text.str());
}

// The comparisons are written so that NaN fails them.
void at_least_zero(const char* name, double value) {
  if (!(value >= 0)) refuse(name, value, "zero or positive");
}
void positive(const char* name, double value) {
  if (!(value > 0)) refuse(name, value, "positive");
}
void positive_and_finite(const char* name, double value) {
  if (!(value > 0 && std::isfinite(value))) refuse(name, value, "positive and finite");
}

void check_stopping(const Options& o) {
  at_least_zero("ftol", o.ftol);
  at_least_zero("xtol", o.xtol);
  at_least_zero("gtol", o.gtol);
  at_least_zero("stationarity", o.stationarity);
  if (o.max_nfev < 1) refuse("max_nfev", o.max_nfev, "at least 1");
  if (o.max_iterations < 0) refuse("max_iterations", o.max_iterations, "zero or positive");
  positive("max_time", o.max_time);
  positive("max_dx", o.max_dx);
}

void check_trust_region(const Options& o) {
  const std::string& rule = o.initial_trust_radius;
  if (rule != "scipy" && rule != "conngould" && rule != "mix" && rule != "number") {
    refuse("initial_trust_radius", "'" + rule + "'", "'scipy', 'conngould', 'mix' or a positive number");
  }
  if (rule == "number") positive_and_finite("initial_trust_radius", o.initial_trust_radius_value);
  positive_and_finite("initial_trust_ratio", o.initial_trust_ratio);
  positive("max_trust_radius", o.max_trust_radius);
  at_least_zero("min_trust_radius", o.min_trust_radius);
  if (!(o.min_trust_radius < o.max_trust_radius)) {
    refuse("min_trust_radius", o.min_trust_radius, "less than max_trust_radius");
  }
  if (!(o.tr_decrease_threshold > 0 && o.tr_decrease_threshold < 1)) {
    refuse("tr_decrease_threshold", o.tr_decrease_threshold, "between 0 and 1");
  }
  if (!(o.tr_increase_threshold >= o.tr_decrease_threshold && o.tr_increase_threshold < 1)) {
    refuse("tr_increase_threshold", o.tr_increase_threshold, "between tr_decrease_threshold and 1");
  }
  if (!(o.tr_increase_ratio > 1 && std::isfinite(o.tr_increase_ratio))) {
    refuse("tr_increase_ratio", o.tr_increase_ratio, "finite and greater than 1");
  }
  if (!(o.tr_decrease_ratio > 0 && o.tr_decrease_ratio < 1)) {
    refuse("tr_decrease_ratio", o.tr_decrease_ratio, "between 0 and 1");
  }
}

}  // namespace

void Options::check() const {
  check_stopping(*this);
  if (threads < 1 || threads > most_threads) refuse("threads", threads, "between 1 and 1024");
  positive_and_finite("lambda0", lambda0);
  if (!(max_lambda > lambda0)) refuse("max_lambda", max_lambda, "greater than lambda0");
  check_trust_region(*this);
}

const std::vector<Field>& fields() {
  static const std::vector<Field> list = {
      {"ftol", "tolerance on the relative fall of the cost; 0: off", &Options::ftol},
      {"xtol", "tolerance on the relative size of the step; 0: off", &Options::xtol},
      {"gtol", "tolerance on the largest component of the projected gradient; 0: off", &Options::gtol},
      {"stationarity", "tolerance on ||P r|| / ||r||, P the projector on the free Jacobian columns",
       &Options::stationarity},
      {"max_nfev", "largest number of residual evaluations, those of differences not counted", &Options::max_nfev},
      {"max_iterations", "largest number of iterations, that is, of accepted steps", &Options::max_iterations},
      {"max_time", "seconds after which the best point so far is returned", &Options::max_time},
      {"max_dx", "largest distance from x0, Euclidean norm", &Options::max_dx},
      {"polish", "at a stationary point, take the last full steps that double precision allows", &Options::polish},
      {"lambda0", "first damping of Levenberg-Marquardt", &Options::lambda0},
      {"max_lambda", "damping at which Levenberg-Marquardt gives up", &Options::max_lambda},
      {"initial_trust_radius", "rule for the first radius: scipy, conngould, mix, number",
       &Options::initial_trust_radius},
      {"initial_trust_radius_value", "the first radius where the rule is 'number'",
       &Options::initial_trust_radius_value},
      {"initial_trust_ratio", "factor on the first radius", &Options::initial_trust_ratio},
      {"max_trust_radius", "largest radius", &Options::max_trust_radius},
      {"min_trust_radius", "radius at which the trust region gives up; 0: where x can no longer change",
       &Options::min_trust_radius},
      {"tr_increase_threshold", "gain ratio above which the radius grows", &Options::tr_increase_threshold},
      {"tr_decrease_threshold", "gain ratio below which the radius shrinks", &Options::tr_decrease_threshold},
      {"tr_increase_ratio", "factor of growth", &Options::tr_increase_ratio},
      {"tr_decrease_ratio", "factor of shrinking", &Options::tr_decrease_ratio},
      {"keep_iterates", "keep every accepted x in the history", &Options::keep_iterates},
      {"threads", "threads that reduce the rows of a Jacobian where that takes over about 3 ms", &Options::threads},
  };
  return list;
}

}  // namespace marquardt
