// What the executor's own steps cost, measured at start and followed while it runs. Microseconds.
#pragma once

#include <cstdint>

#include "executors/common/average.h"
#include "poise/types.h"

namespace poise::llama {

struct Costs {
  Average prefill_us_per_token;  ///< of passes with many tokens
  Average decode_us;             ///< of single-token passes, whatever their width
  LinearCost single_pass_us;     ///< of single-token passes, by width
  Average copy_us;               ///< of one whole sequence to another, until it can be used
  Average rollback_us;           ///< of one removal of a tail
  Average park_us_per_byte;
  Average restore_us_per_byte;
  Average adapter_switch_us;  ///< what the first pass under another adapter takes longer

  [[nodiscard]] double prefill_us(Position tokens) const {
    return prefill_us_per_token.value_or(0.0) * static_cast<double>(tokens);
  }
  [[nodiscard]] double park_us(std::uint64_t bytes) const {
    return park_us_per_byte.value_or(kMemcpyUsPerByte) * static_cast<double>(bytes);
  }
  [[nodiscard]] double restore_us(std::uint64_t bytes) const {
    return restore_us_per_byte.value_or(kMemcpyUsPerByte) * static_cast<double>(bytes);
  }

  /// Until the first park and restore are measured: 4 GB/s, less than any memory of the last ten years.
  static constexpr double kMemcpyUsPerByte = 1.0 / 4000.0;
};

}  // namespace poise::llama
