// Options: the defaults stand, every field is listed, and every value out of range is refused by name.
#include <doctest/doctest.h>

#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "marquardt/base/options.hpp"

using namespace marquardt;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// How many members an aggregate has: the most initialisers that it takes.
struct Anything {
  template <class T>
  operator T() const;  // never defined: only asked whether it would do
};
template <class T, class... Initialisers>
auto takes(int) -> decltype(T{std::declval<Initialisers>()...}, std::true_type{});
template <class T, class... Initialisers>
std::false_type takes(...);
template <class T, class... Initialisers>
constexpr std::size_t members() {
  if constexpr (decltype(takes<T, Initialisers..., Anything>(0))::value) {
    return members<T, Initialisers..., Anything>();
  } else {
    return sizeof...(Initialisers);
  }
}

const Field& field(const std::string& name) {
  for (const Field& f : fields()) {
    if (f.name == name) return f;
  }
  throw std::logic_error("no field " + name);
}

Options with(const std::string& name, double value) {
  Options options;
  const Field::Place& place = field(name).place;
  if (std::holds_alternative<double Options::*>(place)) {
    options.*std::get<double Options::*>(place) = value;
  } else {
    options.*std::get<Index Options::*>(place) = static_cast<Index>(value);
  }
  return options;
}

std::string refusal(const Options& options) {
  try {
    options.check();
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "";
}

template <class T>
std::string printed(const T& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

struct Numbers {
  const char* name;
  std::vector<double> bad, good;
};

const std::vector<Numbers>& rules() {
  static const std::vector<Numbers> list = {
      {"ftol", {-1e-300, -1, not_a_number, -infinity}, {0, 1e-300, 1}},
      {"xtol", {-1e-300, -1, not_a_number, -infinity}, {0, 1e-300, 1}},
      {"gtol", {-1e-300, -1, not_a_number, -infinity}, {0, 1e-300, 1e10}},
      {"stationarity", {-1e-300, -1, not_a_number, -infinity}, {0, 1e-300, 0.1}},
      {"max_nfev", {0, -1, -1000}, {1, 2, 1e9}},
      {"max_iterations", {-1, -1000}, {0, 1, 1e9}},
      {"max_time", {0, -1, not_a_number, -infinity}, {1e-300, 1, infinity}},
      {"max_dx", {0, -1, not_a_number, -infinity}, {1e-300, 1, infinity}},
      {"threads", {0, -1, 1025}, {1, 2, 1024}},
      {"lambda0", {0, -1, not_a_number, infinity, -infinity}, {1e-300, 1, 1e10}},
      {"max_lambda", {1e-3, 1e-4, 0, -1, not_a_number}, {1.1e-3, 1, infinity}},
      {"initial_trust_ratio", {0, -1, not_a_number, infinity}, {1e-3, 1, 1e3}},
      {"max_trust_radius", {0, -1, not_a_number}, {1e-3, 1, infinity}},
      {"min_trust_radius", {-1e-300, not_a_number, infinity}, {0, 1e-300, 1}},
      {"tr_increase_threshold", {0.2, 1, 2, not_a_number, -1, infinity}, {0.25, 0.5, 0.999}},
      {"tr_decrease_threshold", {0, -0.1, 1, not_a_number, infinity}, {1e-3, 0.25, 0.75}},
      {"tr_increase_ratio", {1, 0.999, 0, -2, not_a_number, infinity}, {1.001, 1.5, 100}},
      {"tr_decrease_ratio", {0, 1, 2, -0.5, not_a_number, infinity}, {1e-3, 0.5, 0.999}},
  };
  return list;
}

}  // namespace

TEST_CASE("options: the defaults pass check") { CHECK_NOTHROW(Options().check()); }

TEST_CASE("options: every member is listed once in fields") {
  CHECK(fields().size() == members<Options>());
  std::set<std::string> names, meanings;
  for (const Field& f : fields()) {
    CAPTURE(std::string(f.name));
    CHECK(names.insert(f.name).second);
    CHECK(meanings.insert(f.meaning).second);
    CHECK(std::string(f.meaning).size() > 5);
  }
  for (std::size_t i = 0; i < fields().size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      CAPTURE(std::string(fields()[i].name));
      CAPTURE(std::string(fields()[k].name));
      CHECK_FALSE(fields()[i].place == fields()[k].place);
    }
  }
}

TEST_CASE("options: a name in fields leads to the member of that name") {
  CHECK(field("ftol").place == Field::Place(&Options::ftol));
  CHECK(field("xtol").place == Field::Place(&Options::xtol));
  CHECK(field("gtol").place == Field::Place(&Options::gtol));
  CHECK(field("stationarity").place == Field::Place(&Options::stationarity));
  CHECK(field("max_nfev").place == Field::Place(&Options::max_nfev));
  CHECK(field("max_iterations").place == Field::Place(&Options::max_iterations));
  CHECK(field("max_time").place == Field::Place(&Options::max_time));
  CHECK(field("max_dx").place == Field::Place(&Options::max_dx));
  CHECK(field("polish").place == Field::Place(&Options::polish));
  CHECK(field("lambda0").place == Field::Place(&Options::lambda0));
  CHECK(field("max_lambda").place == Field::Place(&Options::max_lambda));
  CHECK(field("initial_trust_radius").place == Field::Place(&Options::initial_trust_radius));
  CHECK(field("initial_trust_radius_value").place == Field::Place(&Options::initial_trust_radius_value));
  CHECK(field("initial_trust_ratio").place == Field::Place(&Options::initial_trust_ratio));
  CHECK(field("max_trust_radius").place == Field::Place(&Options::max_trust_radius));
  CHECK(field("min_trust_radius").place == Field::Place(&Options::min_trust_radius));
  CHECK(field("tr_increase_threshold").place == Field::Place(&Options::tr_increase_threshold));
  CHECK(field("tr_decrease_threshold").place == Field::Place(&Options::tr_decrease_threshold));
  CHECK(field("tr_increase_ratio").place == Field::Place(&Options::tr_increase_ratio));
  CHECK(field("tr_decrease_ratio").place == Field::Place(&Options::tr_decrease_ratio));
  CHECK(field("keep_iterates").place == Field::Place(&Options::keep_iterates));
  CHECK(field("threads").place == Field::Place(&Options::threads));
}

TEST_CASE("options: a number out of range is refused with its name and value") {
  for (const Numbers& rule : rules()) {
    for (const double bad : rule.bad) {
      CAPTURE(std::string(rule.name));
      CAPTURE(bad);
      const std::string text = refusal(with(rule.name, bad));
      CHECK(text.find(rule.name) == 0);
      const bool whole = std::holds_alternative<Index Options::*>(field(rule.name).place);
      CHECK(text.find("got " + (whole ? printed(static_cast<Index>(bad)) : printed(bad))) != std::string::npos);
    }
  }
}

TEST_CASE("options: a number in range is accepted up to the edges") {
  for (const Numbers& rule : rules()) {
    for (const double good : rule.good) {
      CAPTURE(std::string(rule.name));
      CAPTURE(good);
      CHECK(refusal(with(rule.name, good)) == "");
    }
  }
}

TEST_CASE("options: no numeric field goes without a rule") {
  std::set<std::string> ruled = {"initial_trust_radius_value"};  // counts only where the rule is number: below
  for (const Numbers& rule : rules()) ruled.insert(rule.name);
  for (const Field& f : fields()) {
    const bool number =
        std::holds_alternative<double Options::*>(f.place) || std::holds_alternative<Index Options::*>(f.place);
    CAPTURE(std::string(f.name));
    CHECK(number == (ruled.count(f.name) == 1));
  }
}

TEST_CASE("options: the rules for the first radius") {
  Options options;
  for (const char* good : {"scipy", "conngould", "mix"}) {
    options.initial_trust_radius = good;
    CHECK(refusal(options) == "");
  }
  for (const char* bad : {"", "Scipy", "conn", "numbers"}) {
    options.initial_trust_radius = bad;
    const std::string text = refusal(options);
    CHECK(text.find("initial_trust_radius") == 0);
    CHECK(text.find("'" + std::string(bad) + "'") != std::string::npos);
    for (const char* known : {"scipy", "conngould", "mix"}) CHECK(text.find(known) != std::string::npos);
  }
  options.initial_trust_radius = "number";
  for (const double bad : {0.0, -1.0, not_a_number, infinity}) {
    options.initial_trust_radius_value = bad;
    const std::string text = refusal(options);
    CHECK(text.find("initial_trust_radius") == 0);
    CHECK(text.find("got " + printed(bad)) != std::string::npos);
  }
  options.initial_trust_radius_value = 0.5;
  CHECK(refusal(options) == "");
}

TEST_CASE("options: the smallest radius is below the largest") {
  Options options;
  options.max_trust_radius = 1;
  options.min_trust_radius = 1;
  CHECK(refusal(options).find("min_trust_radius") == 0);
  options.min_trust_radius = 0.5;
  CHECK(refusal(options) == "");
}
