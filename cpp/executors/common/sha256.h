// SHA-256 (FIPS 180-4), for fingerprints.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace poise {

/// Incremental; not thread-safe.
class Sha256 {
 public:
  Sha256& update(std::span<const std::byte> data);
  /// Ends the message; the object must not be used afterwards. 64 lower-case hexadecimal digits.
  [[nodiscard]] std::string hex_digest();

 private:
  void block(const std::byte* data);

  std::array<std::uint32_t, 8> state_{0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
                                      0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U};
  std::array<std::byte, 64> pending_{};
  std::size_t pending_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace poise
