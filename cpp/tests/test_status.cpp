// The table of endings: complete, unique, and success exactly where the value is positive.
#include <doctest/doctest.h>

#include <cctype>
#include <set>
#include <stdexcept>
#include <string>

#include "marquardt/base/status.hpp"

using namespace marquardt;

namespace {

constexpr Status every_ending[] = {
    Status::gradient,
    Status::cost,
    Status::step,
    Status::cost_and_step,
    Status::stationary,
    Status::zero_residual,
    Status::max_evaluations,
    Status::max_iterations,
    Status::stalled,
    Status::precision_limit,
    Status::not_finite_start,
    Status::not_finite_jacobian,
    Status::stopped,
    Status::time_limit,
    Status::distance_limit,
    Status::interrupted,
    Status::flat,
    Status::damping_limit,
    Status::radius_limit,
};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

TEST_CASE("status: the table lists every ending once") {
  CHECK(status_table().size() == std::size(every_ending));
  for (const Status status : every_ending) {
    CAPTURE(static_cast<int>(status));
    CHECK(entry(status).status == status);
  }
  std::set<int> values;
  std::set<std::string> names, sentences;
  for (const StatusEntry& e : status_table()) {
    CAPTURE(std::string(e.name));
    CHECK(values.insert(static_cast<int>(e.status)).second);
    CHECK(names.insert(e.name).second);
    CHECK(sentences.insert(e.sentence).second);
  }
}

TEST_CASE("status: the values have no gap on either side of zero") {
  std::set<int> values;
  for (const StatusEntry& e : status_table()) values.insert(static_cast<int>(e.status));
  CHECK(values.count(0) == 0);
  for (int value = *values.begin(); value <= *values.rbegin(); ++value) {
    if (value != 0) CHECK(values.count(value) == 1);
  }
}

TEST_CASE("status: success is a positive value and nothing else") {
  for (const StatusEntry& e : status_table()) {
    CAPTURE(std::string(e.name));
    CHECK(e.success == (static_cast<int>(e.status) > 0));
    CHECK(e.success == succeeded(e.status));
    CHECK(e.success == (std::string(e.sentence).rfind("Converged", 0) == 0));
  }
  CHECK_FALSE(succeeded(Status::running));
}

TEST_CASE("status: names are identifiers in upper case and sentences end with a full stop") {
  for (const StatusEntry& e : status_table()) {
    CAPTURE(std::string(e.name));
    const std::string name = e.name, sentence = e.sentence;
    CHECK(name == upper(name));
    CHECK(name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string::npos);
    REQUIRE(sentence.size() > 20);
    CHECK(sentence.back() == '.');
    CHECK(sentence.find("  ") == std::string::npos);
  }
}

TEST_CASE("status: running is not an ending") { CHECK_THROWS_AS(entry(Status::running), std::logic_error); }
