// A look at a model file before llama.cpp reads it: is it whole, what is it, how large is its KV.
#pragma once

#include <cstdint>
#include <string>

namespace poise::llama {

/// What the KV cache of a model costs, from its metadata.
struct KvShape {
  std::int32_t layers = 0;
  std::uint64_t bytes_per_token = 0;  ///< K and V of all layers, 16-bit floats
};

struct GgufFile {
  std::string path;
  std::uint64_t size_bytes = 0;
  std::string architecture;  ///< general.architecture
  std::string name;          ///< general.name, or the file's name without extension
  std::uint64_t trained_context_tokens = 0;
  KvShape kv;
  std::string fingerprint;  ///< GgufReader::fingerprint
};

/// Reads and checks header, metadata and the bounds of every tensor. Throws ModelError: missing, not GGUF, truncated,
/// without weights (a vocabulary only, fine if `vocab_only`; an adapter), or without an architecture.
[[nodiscard]] GgufFile inspect_gguf(const std::string& path, bool vocab_only = false);

}  // namespace poise::llama
