#include <doctest/doctest.h>

#include "executors/common/average.h"

using namespace poise;

TEST_CASE("an average starts as its first sample and follows slowly") {
  Average average(0.25);
  CHECK(average.value_or(7.0) == 7.0);
  average.add(100.0);
  CHECK(average.value_or(7.0) == 100.0);
  average.add(200.0);
  CHECK(average.value_or(7.0) == 125.0);
}

TEST_CASE("a linear cost recovers base and slope") {
  LinearCost cost;
  for (int round = 0; round < 20; ++round) {
    for (int n = 1; n <= 8; n *= 2) {
      cost.add(n, 30.0 + 5.0 * n);
    }
  }
  CHECK(cost.base() == doctest::Approx(30.0));
  CHECK(cost.slope() == doctest::Approx(5.0));
}

TEST_CASE("a linear cost without two different n has no slope, and none below zero") {
  LinearCost one;
  one.add(1, 50.0);
  one.add(1, 70.0);
  CHECK(one.slope() == 0.0);
  CHECK(one.base() == doctest::Approx(60.0).epsilon(0.02));
  LinearCost falling;
  falling.add(1, 50.0);
  falling.add(4, 20.0);
  CHECK(falling.slope() == 0.0);
}
