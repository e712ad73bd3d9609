// What models and adapters have in common: a GGUF file is opened, checked for wholeness, asked and digested.
#pragma once

#include <gguf.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

struct ggml_context;

namespace poise::llama {

/// Files up to this size are digested whole.
inline constexpr std::uint64_t kWholeDigestBytes = 32U << 20U;

/// Header and tensor descriptions of a file; the data stays on disk.
class GgufReader {
 public:
  /// Throws ModelError naming the file: missing, not a file, not GGUF, truncated, unreadable metadata, a tensor beyond
  /// the end. `noun` is what messages call it: "model" or "adapter".
  GgufReader(const std::string& noun, const std::string& path);
  ~GgufReader();
  GgufReader(const GgufReader&) = delete;
  GgufReader& operator=(const GgufReader&) = delete;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] std::int64_t tensors() const { return gguf_get_n_tensors(gguf_.get()); }
  [[nodiscard]] bool has(const std::string& key) const { return gguf_find_key(gguf_.get(), key.c_str()) >= 0; }
  /// Empty if the key is absent or no string.
  [[nodiscard]] std::string string(const std::string& key) const;
  /// Scalar or per-layer array of 32-bit or 64-bit whole numbers; empty if the key is absent or something else.
  [[nodiscard]] std::vector<std::uint64_t> numbers(const std::string& key) const;
  [[nodiscard]] std::uint64_t number(const std::string& key, std::uint64_t otherwise) const;
  /// GGUF_TYPE_COUNT if the key is absent.
  [[nodiscard]] gguf_type type(const std::string& key) const;
  /// A tensor's description, without data; the first is 0.
  [[nodiscard]] const ggml_tensor* tensor(std::int64_t index) const;
  /// SHA-256: over the whole file up to kWholeDigestBytes, beyond that over the file's size, its header with all
  /// metadata and tensor descriptions, and the first and last 64 KiB of every tensor.
  [[nodiscard]] std::string fingerprint();

 private:
  struct GgufDelete {
    void operator()(gguf_context* context) const { gguf_free(context); }
  };
  struct GgmlDelete {
    void operator()(ggml_context* context) const;
  };
  void check_magic();
  void check_tensors() const;

  std::string noun_, path_;
  std::uint64_t size_bytes_ = 0;
  std::ifstream file_;
  std::unique_ptr<ggml_context, GgmlDelete> descriptions_;
  std::unique_ptr<gguf_context, GgufDelete> gguf_;
};

}  // namespace poise::llama
