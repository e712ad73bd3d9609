#include <doctest/doctest.h>

#include "executors/common/prefix_index.h"

using namespace poise;

namespace {

const auto kAnybody = [](HolderId) { return true; };

KvKey tenant(std::uint64_t salt) { return {salt, 0, 0.0F}; }

}  // namespace

TEST_CASE("keys never meet: tenant, adapter and scale each separate") {
  PrefixIndex index;
  const KvKey key = tenant(1);
  index.insert(1, key, Tokens{1, 2, 3});
  CHECK(index.longest(key, Tokens{1, 2, 3}, kAnybody).has_value());
  CHECK_FALSE(index.longest(tenant(2), Tokens{1, 2, 3}, kAnybody).has_value());
  CHECK_FALSE(index.longest(KvKey{1, 1, 0.0F}, Tokens{1, 2, 3}, kAnybody).has_value());
  CHECK_FALSE(index.longest(KvKey{1, 0, 0.5F}, Tokens{1, 2, 3}, kAnybody).has_value());
}

TEST_CASE("a holder that changes its key leaves nothing behind") {
  PrefixIndex index;
  index.insert(1, tenant(1), Tokens{1, 2, 3});
  index.insert(1, tenant(2), Tokens{1, 2, 3});
  CHECK_FALSE(index.longest(tenant(1), Tokens{1, 2, 3}, kAnybody).has_value());
  CHECK(index.longest(tenant(2), Tokens{1, 2, 3}, kAnybody).has_value());
  CHECK(index.size() == 1);
  index.check();
  index.erase(1);
  CHECK(index.size() == 0);
  index.check();
}
