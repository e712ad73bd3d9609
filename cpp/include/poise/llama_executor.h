// The embedded executor: libllama behind a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "poise/executor.h"

namespace poise {

enum class KvLayout { automatic, streams, unified };

/// A LoRA adapter, as a GGUF file made for the model. Its id is its place in LlamaOptions::adapters, from 1.
struct AdapterFile {
  std::string name;
  std::string path;
};

/// A LoRA adapter that an executor has loaded.
struct LoadedAdapter {
  std::int32_t id = 0;  ///< what KvKey::adapter_id calls it, from 1
  std::string name;
  std::string path;
  std::string fingerprint;  ///< SHA-256 in hex, by the model's rule; ExecutorInfo::model_fingerprint stays the model's
  std::uint64_t size_bytes = 0;
};

/// Sequences of one length over the same weights.
struct SizeClass {
  Position context_tokens = 0;
  std::int32_t sequences = 0;
};

/// What a size class holds now.
struct SizeClassState {
  SizeClass size;
  std::uint64_t kv_bytes = 0;  ///< allocated
  std::int32_t sequences_used = 0;
  std::int64_t resident_tokens = 0;
  std::uint64_t promotions = 0;  ///< since start: owners that came from a smaller class
};

struct LlamaOptions {
  std::string model_path;
  std::int32_t max_sequences = 8;          ///< sessions (and branches) whose KV is resident at once, 1..256
  Position context_tokens = 0;             ///< of one sequence; 0 = what the model was trained for, capped at 8192
  std::int32_t threads = 0;                ///< 0 = physical cores
  std::int32_t batch_tokens = 512;         ///< prefill tokens of one pass (llama.cpp's n_ubatch)
  KvLayout layout = KvLayout::automatic;   ///< automatic: the cheaper one by measured cost at start
  std::int32_t gpu_layers = -1;            ///< -1 = all, where the build has a GPU backend
  double max_idle_step_ms = 10.0;          ///< bounds idle_quantum_tokens
  std::uint64_t park_bytes = 256U << 20U;  ///< host memory for parked sequences
  std::uint64_t max_kv_bytes = 0;          ///< refuse a larger KV cache; 0 = what the machine has free
  std::vector<AdapterFile> adapters;       ///< loaded at start; sessions choose one by id
  /// More than one length of sequence, ascending (for example 4k, 16k, 64k): a context lives in the smallest class
  /// that it fits and moves when it outgrows it. Empty = one class of max_sequences x context_tokens.
  std::vector<SizeClass> size_classes;
  bool debug_checks = false;            ///< check_integrity() whenever the executor becomes idle
  std::function<void(float)> progress;  ///< model loading, 0..1; may be empty
};

/// Text side of the model file: what tokenizers and templates need. Immutable and thread-safe.
class LlamaVocab {
 public:
  virtual ~LlamaVocab() = default;
  /// UTF-8 text to ids. `parse_special`: control tokens in the text become their ids.
  [[nodiscard]] virtual Tokens tokenize(std::string_view text, bool add_special, bool parse_special) const = 0;
  /// Bytes of the ids (may end inside a UTF-8 character). `render_special`: control tokens print their text.
  [[nodiscard]] virtual std::string detokenize(TokenSpan tokens, bool render_special) const = 0;
  [[nodiscard]] virtual std::string chat_template() const = 0;                   ///< empty if the file has none
  [[nodiscard]] virtual std::string metadata(const std::string& key) const = 0;  ///< empty if absent
  [[nodiscard]] virtual TokenId bos() const = 0;                                 ///< kNoToken if none
  [[nodiscard]] virtual TokenId eos() const = 0;
  [[nodiscard]] virtual bool adds_bos() const = 0;
  [[nodiscard]] virtual bool is_end_of_generation(TokenId token) const = 0;
  [[nodiscard]] virtual bool is_control(TokenId token) const = 0;
  [[nodiscard]] virtual std::int32_t size() const = 0;
};

/// The text side alone, from a file with or without weights. Throws ModelError: missing, truncated, damaged, no vocabulary.
[[nodiscard]] std::shared_ptr<const LlamaVocab> load_vocab(const std::string& path);

/// Loads a model and its adapters. Throws ModelError (missing, truncated, unsupported), ResourceExhausted (the memory plan does
/// not fit, with the plan and the options that shrink it) or InvalidArgument (options).
class LlamaExecutor final : public Executor {
 public:
  explicit LlamaExecutor(LlamaOptions options);
  ~LlamaExecutor() override;

  [[nodiscard]] std::shared_ptr<const LlamaVocab> vocab() const;
  /// The options as resolved: automatic values replaced by what was chosen.
  [[nodiscard]] const LlamaOptions& options() const noexcept;
  /// By id - 1.
  [[nodiscard]] std::vector<LoadedAdapter> adapters() const;
  /// Ascending; one if no size classes were asked for.
  [[nodiscard]] std::vector<SizeClassState> classes() const;

  RequestId enqueue(Request request, std::shared_ptr<Sink> sink) override;
  void cancel(RequestId id) override;
  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const override;
  void release(OwnerId owner, Position keep_tokens) override;
  [[nodiscard]] const ExecutorInfo& info() const noexcept override;
  [[nodiscard]] ExecutorStats stats() const override;
  void on_idle(std::function<void()> listener) override;
  void check_integrity() const override;
  void shutdown() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poise
