#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "poise/version.h"

TEST_CASE("the library names a version of three numbers") {
  const std::string version = poise::version();
  CHECK(std::count(version.begin(), version.end(), '.') == 2);
}
