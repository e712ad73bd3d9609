#include "poise/scan.h"
#include "scan/philox.h"

namespace poise {

/// Counter (position, choice_index, 0, 0), key (low, high half of the seed). The first two output words, low word first,
/// give 64 bits; the upper 52 of them and a half, times 2^-52, are exact in double and never 0 or 1.
double scan_uniform(std::uint64_t seed, std::uint32_t choice_index, Position position) noexcept {
  const auto out =
      scan_detail::philox4x32_10({static_cast<std::uint32_t>(position), choice_index, 0, 0},
                                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)});
  const std::uint64_t bits = out[0] | static_cast<std::uint64_t>(out[1]) << 32U;
  return (static_cast<double>(bits >> 12U) + 0.5) * 0x1p-52;
}

}  // namespace poise
