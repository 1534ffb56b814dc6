// base/box: the feasible set.
#include <doctest/doctest.h>

#include <cmath>

#include "marquardt/base/box.hpp"

using namespace marquardt;

namespace {

Vector list(std::initializer_list<double> values) {
  Vector v(static_cast<Index>(values.size()));
  Index i = 0;
  for (const double value : values) v[i++] = value;
  return v;
}

}  // namespace

TEST_CASE("box: an infinite box holds everything and has no wall") {
  const Box box = Box::infinite(3);
  CHECK(box.size() == 3);
  CHECK_FALSE(box.bounded());
  CHECK(box.contains(list({-1e308, 0, 1e308})));
  CHECK(box.reach(Vector::Zero(3), list({1, -2, 3})) == infinity);
}

TEST_CASE("box: one finite wall makes it bounded") {
  Box box = Box::infinite(2);
  box.upper[1] = 4;
  CHECK(box.bounded());
  CHECK_FALSE(box.fixed(1));
  box.lower[1] = 4;
  CHECK(box.fixed(1));
  CHECK_FALSE(box.fixed(0));
}

TEST_CASE("box: projection is the nearest point and keeps inner points to the last bit") {
  const Box box{list({0, -infinity, 2}), list({1, 5, 2})};
  Vector x = list({-3, 7, 9});
  box.project(x);
  CHECK(x == list({0, 5, 2}));
  CHECK(box.contains(x));
  x = list({0.1, -1e300, 2});
  const Vector before = x;
  box.project(x);
  CHECK(x == before);
  CHECK_FALSE(box.contains(list({1.0000001, 0, 2})));
}

TEST_CASE("box: move_inside leaves inner points alone and ends strictly inside") {
  const Box box{list({0, 0, -infinity, 1}), list({1, 1e9, 0, 1})};
  Vector x = list({0, 1e9, 0, 1});
  box.move_inside(x, 1e-3);
  CHECK(x[0] == 1e-3);
  CHECK(x[1] == 1e9 - 1e6);  // margins grow with the wall
  CHECK(x[2] == -1e-3);
  CHECK(x[3] == 1);  // a fixed variable stays
  x = list({0.5, 5e8, -2, 1});
  const Vector before = x;
  box.move_inside(x, 1e-3);
  CHECK(x == before);
}

TEST_CASE("box: move_inside with no margin takes the next number") {
  const Box box{list({0, 1}), list({1, 2})};
  Vector x = list({1, 1});
  box.move_inside(x, 0);
  CHECK(x[0] == std::nextafter(1.0, 0.0));
  CHECK(x[1] == std::nextafter(1.0, 2.0));
}

TEST_CASE("box: move_inside puts a point of too narrow a box in its middle") {
  const Box box{list({1}), list({1 + 1e-6})};
  Vector x = list({1});
  box.move_inside(x, 1e-3);
  CHECK(x[0] == doctest::Approx(1 + 5e-7).epsilon(1e-12));
  CHECK(x[0] > box.lower[0]);
  CHECK(x[0] < box.upper[0]);
}

TEST_CASE("box: reach is the first wall along p") {
  const Box box{list({-1, -1, -infinity}), list({2, 1, 1})};
  const Vector x = Vector::Zero(3);
  CHECK(box.reach(x, list({1, 0, 0})) == 2);
  CHECK(box.reach(x, list({-2, 0, 0})) == 0.5);
  CHECK(box.reach(x, list({1, -4, -8})) == 0.25);
  CHECK(box.reach(x, list({0, 0, -8})) == infinity);
  CHECK(box.reach(list({2, 0, 0}), list({1, 1, 0})) == 0);
}
