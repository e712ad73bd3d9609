#include "executors/sim/toy_model.h"

#include <bit>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace poise::sim {
namespace {

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection that flips about half of all bits.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

constexpr std::uint64_t fold(std::uint64_t state, std::uint64_t value) noexcept { return mix(state ^ mix(value)); }

/// Four uniform 16-bit numbers added up: mean 0, standard deviation 1, nearly normal (Irwin-Hall).
float normal_like(std::uint64_t bits) noexcept {
  double sum = 0.0;
  for (unsigned part = 0; part < 4U; ++part) {
    sum += static_cast<double>((bits >> (16U * part)) & 0xFFFFU) / 65535.0 - 0.5;
  }
  return static_cast<float>(sum * std::sqrt(3.0));  // the variance of the sum is 4 / 12
}

}  // namespace

ToyModel::ToyModel(const SimOptions& options)
    : vocab_size_(options.vocab_size),
      seed_(options.model_seed),
      sharpness_(options.sharpness),
      end_bias_(options.end_bias) {}

std::vector<float> ToyModel::row(std::span<const Cell> cells, const KvKey& key) const {
  std::uint64_t state = fold(seed_, static_cast<std::uint64_t>(key.adapter_id));
  state = fold(state, std::bit_cast<std::uint32_t>(key.adapter_scale));
  std::uint64_t index = 0;
  for (const Cell& cell : cells) {
    // Both terms are 0 for a cell in its own place and of its own tenant.
    const std::uint64_t misplaced = static_cast<std::uint64_t>(cell.position) ^ index++;
    const std::uint64_t foreign = cell.tenant_salt ^ key.tenant_salt;
    state = fold(state, static_cast<std::uint64_t>(cell.token) ^ (misplaced << 32U) ^ mix(foreign) ^ mix(0));
  }
  std::vector<float> logits(static_cast<std::size_t>(vocab_size_));
  for (std::size_t id = 0; id < logits.size(); ++id) {
    logits[id] = sharpness_ * normal_like(mix(state + id * 0xD1B54A32D192ED03U));
  }
  logits[0] += end_bias_;
  return logits;
}

std::string ToyModel::fingerprint() const {
  std::uint64_t digest = fold(seed_, static_cast<std::uint64_t>(vocab_size_));
  digest = fold(digest, std::bit_cast<std::uint32_t>(sharpness_));
  digest = fold(digest, std::bit_cast<std::uint32_t>(end_bias_));
  std::ostringstream hex;
  hex << std::hex << std::setw(16) << std::setfill('0') << digest;
  return hex.str();
}

}  // namespace poise::sim
