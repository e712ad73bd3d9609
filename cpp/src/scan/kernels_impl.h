// The kernels, over a 16-lane vector type V. Included once in each instruction set's file; everything has
// internal linkage and nothing of the standard library is called, so that no function compiled for one
// set can be linked into another's path.
#pragma once

#include <cstddef>
#include <cstdint>

#include "scan/kernels.h"

namespace {

using poise::scan_detail::kBins;
using poise::scan_detail::kBinsPerNat;
using poise::scan_detail::kBlock;
using poise::scan_detail::Kernels;
using poise::scan_detail::kLanes;
using poise::scan_detail::RowSums;

constexpr float kMinusInfinity = -__builtin_inff();
constexpr float kLog2E = 1.44269504F;

/// exp(x * inverse_temperature) for x <= 0, as 2^n * 2^f with |f| <= 1/2.
/// 2^f is 1 + f * q(f) with q of degree 4, minimax for the relative error (Remez, 2^0 exact): 1.1e-7.
/// The argument x * c is rounded once in c: together at most 2e-7 + 6e-8 * |x| * inverse_temperature.
/// Below 2^-125 the result stays at 2^-125, also for -infinity; not a number gives any finite value.
template <typename V>
struct Exp {
  using Floats = typename V::Floats;

  explicit Exp(float inverse_temperature) {
    const float c = kLog2E * inverse_temperature;
    scale_ = c < 1e30F ? c : 1e30F;
    factor = V::set(scale_);
    lowest = V::set(-125.0F / scale_);
  }

  /// The lowest x that is told apart; keeps not-a-number, for sums to find it.
  Floats clamp(Floats x) const { return V::max(lowest, x); }

  Floats operator()(Floats clamped) const {
    const Floats magic = V::set(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
    const Floats shifted = V::fma(clamped, factor, magic);
    const Floats f = V::fma(clamped, factor, V::sub(magic, shifted));
    Floats p = V::set(0x1.5bba14p-10F);
    p = V::fma(p, f, V::set(0x1.3cea88p-7F));
    p = V::fma(p, f, V::set(0x1.c6b752p-5F));
    p = V::fma(p, f, V::set(0x1.ebf9bcp-3F));
    p = V::fma(p, f, V::set(0x1.62e42ap-1F));
    p = V::fma(p, f, V::set(1.0F));
    return V::scale(p, shifted);
  }

  Floats factor, lowest;

 private:
  float scale_;
};

/// The 16 logits at `i`, padded with -infinity behind the row's end.
template <typename V>
typename V::Floats load_padded(const float* row, std::size_t i, std::size_t end) {
  if (i + kLanes <= end) {
    return V::load(row + i);
  }
  float padded[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    padded[lane] = i + lane < end ? row[i + lane] : kMinusInfinity;
  }
  return V::load(padded);
}

template <typename V>
double total(const typename V::Doubles& lanes) {
  double each[8];
  V::store(each, lanes);
  double sum = 0.0;
  for (const double lane : each) {
    sum += lane;
  }
  return sum;
}

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

inline bool any_nan(const float* row, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) {
    if (row[i] != row[i]) {
      return true;
    }
  }
  return false;
}

template <typename V>
RowSums row_sums(const float* row, std::size_t size, float* block_max, float* lane_max) {
  using Floats = typename V::Floats;
  const Exp<V> exp(1.0F);
  RowSums out;
  out.max = kMinusInfinity;
  typename V::Doubles mass = V::zero();
  typename V::Doubles weighted = V::zero();
  for (std::size_t begin = 0, block = 0; begin < size; begin += kBlock, ++block) {
    const std::size_t end = smaller(begin + kBlock, size);
    const std::size_t whole = begin + (end - begin) / kLanes * kLanes;
    Floats lanes = V::set(kMinusInfinity);
    if (whole < end) {
      lanes = V::max(load_padded<V>(row, whole, end), lanes);
    }
    for (std::size_t i = begin; i < whole; i += kLanes) {
      lanes = V::max(V::load(row + i), lanes);
    }
    const float best = V::max_lane(lanes);
    if (block_max != nullptr) {
      block_max[block] = best;
    }
    if (lane_max != nullptr) {
      V::store(lane_max + block * kLanes, lanes);
    }
    if (best == kMinusInfinity) {
      out.has_nan = out.has_nan || any_nan(row, begin, end);
      continue;
    }
    if (best > out.max) {
      if (out.max != kMinusInfinity) {  // move the sums to the new reference
        const double shift = static_cast<double>(out.max) - static_cast<double>(best);
        const double factor = __builtin_exp(shift);
        weighted = V::mul(V::add(weighted, V::mul(mass, shift)), factor);
        mass = V::mul(mass, factor);
      }
      out.max = best;
    }
    const Floats reference = V::set(out.max);
    Floats block_mass = V::set(0.0F);
    Floats block_weighted = V::set(0.0F);
    for (std::size_t i = begin; i < whole; i += kLanes) {
      const Floats x = exp.clamp(V::sub(V::load(row + i), reference));
      const Floats e = exp(x);
      block_mass = V::add(block_mass, e);
      block_weighted = V::fma(x, e, block_weighted);
    }
    if (whole < end) {
      const Floats x = exp.clamp(V::sub(load_padded<V>(row, whole, end), reference));
      const Floats e = exp(x);
      block_mass = V::add(block_mass, e);
      block_weighted = V::fma(x, e, block_weighted);
    }
    mass = V::add(mass, V::widen(block_mass));
    weighted = V::add(weighted, V::widen(block_weighted));
  }
  out.mass = total<V>(mass);
  out.weighted = total<V>(weighted);
  // Not-a-number goes through x into the weighted sum, and +infinity gives infinity - infinity.
  out.has_nan = out.has_nan || out.weighted != out.weighted || out.max == __builtin_inff();
  return out;
}

template <typename V>
double mass(const float* row, std::size_t size, float max, float inverse_temperature) {
  using Floats = typename V::Floats;
  const Exp<V> exp(inverse_temperature);
  const Floats reference = V::set(max);
  typename V::Doubles sum = V::zero();
  for (std::size_t begin = 0; begin < size; begin += kBlock) {
    const std::size_t end = smaller(begin + kBlock, size);
    const std::size_t whole = begin + (end - begin) / kLanes * kLanes;
    Floats block_mass = V::set(0.0F);
    for (std::size_t i = begin; i < whole; i += kLanes) {
      block_mass = V::add(block_mass, exp(exp.clamp(V::sub(V::load(row + i), reference))));
    }
    if (whole < end) {
      const Floats x = V::sub(load_padded<V>(row, whole, end), reference);
      block_mass = V::add(block_mass, exp(exp.clamp(x)));
    }
    sum = V::add(sum, V::widen(block_mass));
  }
  return total<V>(sum);
}

template <typename V>
double counted_mass(const float* levels, const float* counts, std::size_t size, float inverse_temperature) {
  const Exp<V> exp(inverse_temperature);
  typename V::Doubles sum = V::zero();
  for (std::size_t i = 0; i < size; i += kLanes) {
    const typename V::Floats weights = V::max(V::set(0.0F), load_padded<V>(counts, i, size));
    const typename V::Floats e = exp(exp.clamp(load_padded<V>(levels, i, size)));
    sum = V::add(sum, V::widen(V::mul(weights, e)));
  }
  return total<V>(sum);
}

template <typename V>
std::size_t find_equal(const float* row, std::size_t begin, std::size_t end, float value) {
  const typename V::Floats wanted = V::set(value);
  for (std::size_t i = begin; i < end; i += kLanes) {
    const std::uint32_t bits = V::equal(load_padded<V>(row, i, end), wanted);
    if (bits != 0) {
      return smaller(i + static_cast<std::size_t>(__builtin_ctz(bits)), end);
    }
  }
  return end;
}

/// Appends base + (position of each set bit). Returns the new count.
inline std::size_t append_bits(std::uint32_t bits, std::size_t base, std::uint32_t* out, std::size_t count) {
  while (bits != 0) {
    out[count++] = static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(__builtin_ctz(bits));
    bits &= bits - 1;
  }
  return count;
}

/// `threshold` above -infinity, so that padding never counts.
template <typename V>
std::size_t gather_at_least(const float* row, std::size_t size, const float* block_max, float threshold,
                            std::uint32_t* out) {
  const typename V::Floats lowest = V::set(threshold);
  std::size_t count = 0;
  for (std::size_t begin = 0, block = 0; begin < size; begin += kBlock, ++block) {
    if (block_max[block] < threshold) {
      continue;
    }
    const std::size_t end = smaller(begin + kBlock, size);
    for (std::size_t i = begin; i < end; i += kLanes) {
      count = append_bits(V::at_least(load_padded<V>(row, i, end), lowest), i, out, count);
    }
  }
  return count;
}

template <typename V>
void masked_copy(const float* row, std::size_t size, const std::uint32_t* mask, float* out) {
  const typename V::Floats forbidden = V::set(kMinusInfinity);
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    const std::uint32_t bits = mask[i / 32] >> (i % 32);
    V::store(out + i, V::select(bits, V::load(row + i), forbidden));
  }
  for (; i < size; ++i) {
    out[i] = ((mask[i / 32] >> (i % 32)) & 1U) != 0 ? row[i] : kMinusInfinity;
  }
}

template <typename V>
std::size_t count_bits(const std::uint32_t* words, std::size_t count) {
  std::size_t bits = 0;
  std::size_t i = 0;
  for (; i + 2 <= count; i += 2) {
    bits += V::popcount(static_cast<std::uint64_t>(words[i]) | static_cast<std::uint64_t>(words[i + 1]) << 32U);
  }
  return i < count ? bits + V::popcount(words[i]) : bits;
}

/// Bin of each lane: floor((max - l) / t * kBinsPerNat), at most kBins - 1.
template <typename V>
struct Binner {
  explicit Binner(float inverse_temperature)
      : factor(V::set(-kBinsPerNat * (inverse_temperature < 1e30F ? inverse_temperature : 1e30F))),
        last(V::set(static_cast<float>(kBins - 1))) {}
  typename V::Ints operator()(typename V::Floats x) const { return V::truncate(V::min(V::mul(x, factor), last)); }
  typename V::Floats factor, last;
};

template <typename V>
void histogram(const float* row, std::size_t size, float max, float inverse_temperature, double* mass,
               std::uint32_t* counts) {
  const Exp<V> exp(inverse_temperature);
  const Binner<V> bin_of(inverse_temperature);
  const typename V::Floats reference = V::set(max);
  const typename V::Floats finite = V::set(-__FLT_MAX__);
  for (std::size_t i = 0; i < size; i += kLanes) {
    const typename V::Floats logits = load_padded<V>(row, i, size);
    const typename V::Floats x = exp.clamp(V::sub(logits, reference));
    float e[kLanes];
    std::int32_t bins[kLanes];
    V::store(e, exp(x));
    V::store(bins, bin_of(x));
    for (std::uint32_t bits = V::at_least(logits, finite); bits != 0; bits &= bits - 1) {
      const auto lane = static_cast<std::size_t>(__builtin_ctz(bits));
      mass[bins[lane]] += static_cast<double>(e[lane]);
      ++counts[bins[lane]];
    }
  }
}

template <typename V>
std::size_t gather_bin(const float* row, std::size_t size, float max, float inverse_temperature, std::uint32_t bin,
                       std::uint32_t* out) {
  const Exp<V> exp(inverse_temperature);
  const Binner<V> bin_of(inverse_temperature);
  const typename V::Floats reference = V::set(max);
  const typename V::Floats finite = V::set(-__FLT_MAX__);
  std::size_t count = 0;
  for (std::size_t i = 0; i < size; i += kLanes) {
    const typename V::Floats logits = load_padded<V>(row, i, size);
    const typename V::Ints bins = bin_of(exp.clamp(V::sub(logits, reference)));
    const std::uint32_t bits = V::equal(bins, static_cast<std::int32_t>(bin)) & V::at_least(logits, finite);
    count = append_bits(bits, i, out, count);
  }
  return count;
}

template <typename V>
constexpr Kernels kernel_table() {
  return {row_sums<V>,    mass<V>,       counted_mass<V>, find_equal<V>, gather_at_least<V>,
          masked_copy<V>, count_bits<V>, histogram<V>,    gather_bin<V>};
}

}  // namespace
