// The examples of FIPS 180-4's companion (NIST CSRC, SHA-256 examples), and one million 'a'.
#include <doctest/doctest.h>

#include <span>
#include <string>

#include "executors/common/sha256.h"

using namespace poise;

namespace {

std::string digest(const std::string& message, std::size_t chunk) {
  Sha256 sha;
  for (std::size_t at = 0; at < message.size(); at += chunk) {
    const std::string part = message.substr(at, chunk);
    sha.update(std::as_bytes(std::span(part.data(), part.size())));
  }
  return sha.hex_digest();
}

}  // namespace

TEST_CASE("known digests, whatever the pieces") {
  const std::string two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  for (const std::size_t chunk : {1U, 7U, 64U, 100U}) {
    CHECK(digest("", chunk) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(digest("abc", chunk) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(digest(two_blocks, chunk) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  }
  CHECK(digest(std::string(1'000'000, 'a'), 1000) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
