// The loops that run over whole rows, one table of functions an instruction set. Every set computes in 16
// lanes with the same operations in the same order, so their sums agree to the last bit wherever the fused
// multiply-add does (portable.h says how the portable path comes by it).
#pragma once

#include <cstddef>
#include <cstdint>

namespace poise::scan_detail {

/// Floats of one vector, whatever the hardware's width.
inline constexpr std::size_t kLanes = 16;
/// Floats of one block: sums are kept as float lanes inside a block and as double between blocks.
inline constexpr std::size_t kBlock = 1024;
/// Bins of a mass histogram over (max - l) / t; the last one is open-ended.
inline constexpr std::size_t kBins = 2048;
inline constexpr float kBinsPerNat = 64.0F;

[[nodiscard]] constexpr std::size_t block_count(std::size_t size) noexcept { return (size + kBlock - 1) / kBlock; }

/// What one pass over a row adds up. Sums are relative to `max`; -infinity adds nothing that counts.
struct RowSums {
  float max = 0.0F;       ///< -infinity: no allowed finite logit
  double mass = 0.0;      ///< sum of e(l), e(l) = exp(l - max)
  double weighted = 0.0;  ///< sum of (l - max) * e(l), <= 0
  bool has_nan = false;   ///< not-a-number somewhere in the row, or +infinity
};

/// Rows may have any size and alignment. `max` must be the row's largest logit where it is a parameter.
struct Kernels {
  /// Also writes block_max[block_count] and lane_max[block_count * kLanes] (each entry the largest of
  /// another 64 logits); both may be null.
  RowSums (*row_sums)(const float* row, std::size_t size, float* block_max, float* lane_max);
  /// Sum of exp((l - max) * inverse_temperature), inverse_temperature in (0, infinity).
  double (*mass)(const float* row, std::size_t size, float max, float inverse_temperature);
  /// Sum of counts[i] * exp(levels[i] * inverse_temperature), levels <= 0.
  double (*counted_mass)(const float* levels, const float* counts, std::size_t size, float inverse_temperature);
  /// First index in [begin, end) whose logit equals `value`, or end.
  std::size_t (*find_equal)(const float* row, std::size_t begin, std::size_t end, float value);
  /// Writes the ascending indices whose logit is >= threshold, blocks below it skipped. `out` holds `size`.
  std::size_t (*gather_at_least)(const float* row, std::size_t size, const float* block_max, float threshold,
                                 std::uint32_t* out);
  /// out[i] = row[i] where bit i of the mask is set, -infinity elsewhere.
  void (*masked_copy)(const float* row, std::size_t size, const std::uint32_t* mask, float* out);
  /// Bits set in `words` words.
  std::size_t (*count_bits)(const std::uint32_t* words, std::size_t count);
  /// Adds each finite logit's mass to mass[kBins] and counts it in counts[kBins].
  void (*histogram)(const float* row, std::size_t size, float max, float inverse_temperature, double* mass,
                    std::uint32_t* counts);
  /// Writes the ascending indices of the finite logits in one bin of that histogram.
  std::size_t (*gather_bin)(const float* row, std::size_t size, float max, float inverse_temperature, std::uint32_t bin,
                            std::uint32_t* out);
};

/// The table of the instruction set in use.
[[nodiscard]] const Kernels& kernels() noexcept;

extern const Kernels kPortableKernels;
#ifdef POISE_SCAN_X86
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace poise::scan_detail
