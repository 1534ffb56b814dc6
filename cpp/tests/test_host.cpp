// Arithmetic tells its host where it begins and where it ends, whatever happens in between.
#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

#include "marquardt/base/host.hpp"

using namespace marquardt;

namespace {

class Diary : public Host {
 public:
  void arithmetic_begins(double flops) override { entries.push_back(flops); }
  void arithmetic_ends() override { entries.push_back(-1); }
  std::vector<double> entries;
};

}  // namespace

TEST_CASE("host: a stretch of arithmetic begins with its length and ends") {
  Diary diary;
  {
    const Arithmetic arithmetic(diary, 125);
    CHECK(diary.entries == std::vector<double>{125});
  }
  CHECK(diary.entries == std::vector<double>{125, -1});
}

TEST_CASE("host: an exception ends the stretch") {
  Diary diary;
  const auto fail = [&] {
    const Arithmetic arithmetic(diary, 7);
    throw std::runtime_error("in the middle");
  };
  CHECK_THROWS_AS(fail(), std::runtime_error);
  CHECK(diary.entries == std::vector<double>{7, -1});
}

TEST_CASE("host: a plain host needs nothing") {
  Host host;
  CHECK_NOTHROW(Arithmetic(host, 1e9));
}
