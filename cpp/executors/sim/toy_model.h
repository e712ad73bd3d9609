// The model of the SimExecutor: logits that are a hash of what the simulated KV holds.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "poise/executor.h"
#include "poise/sim_executor.h"
#include "poise/types.h"

namespace poise::sim {

/// One token of simulated KV, with where and for whom it was computed.
struct Cell {
  TokenId token = kNoToken;
  Position position = 0;
  std::uint64_t tenant_salt = 0;
  friend bool operator==(const Cell&, const Cell&) = default;
};

/// Immutable, so any number of threads may ask it.
class ToyModel {
 public:
  explicit ToyModel(const SimOptions& options);

  /// The raw row behind the last of `cells`, shape [vocab_size], as a request with `key` sees it. A cell at the wrong
  /// index or of another tenant changes the row as another token would. O(cells + vocab_size).
  [[nodiscard]] std::vector<float> row(std::span<const Cell> cells, const KvKey& key) const;
  /// Hex digest over everything that decides a row.
  [[nodiscard]] std::string fingerprint() const;

 private:
  std::int32_t vocab_size_;
  std::uint64_t seed_;
  float sharpness_;
  float end_bias_;
};

}  // namespace poise::sim
