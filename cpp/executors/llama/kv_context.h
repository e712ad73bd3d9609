// One llama_context: passes over it, and the operations on its KV with their traps closed.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ggml-cpu.h>
#include <llama.h>

#include "executors/llama/kv_state.h"
#include "executors/llama/model.h"
#include "poise/llama_executor.h"

namespace poise::llama {

/// A sequence of the KV cache, 0..max_sequences-1. Under streams it owns a buffer of its own.
using SeqId = std::int32_t;

/// The tokens of one pass. Reused from pass to pass.
class PassBatch {
 public:
  explicit PassBatch(std::size_t capacity);
  void clear();
  /// Returns the token's index in the batch, the argument of KvContext::row if `output`.
  std::int32_t add(TokenId token, Position position, SeqId seq, bool output);
  [[nodiscard]] std::int32_t size() const noexcept { return static_cast<std::int32_t>(tokens_.size()); }

 private:
  friend class KvContext;
  [[nodiscard]] llama_batch view();

  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<llama_seq_id> seqs_;
  std::vector<std::int32_t> seq_counts_;
  std::vector<llama_seq_id*> seq_views_;
  std::vector<std::int8_t> outputs_;
};

struct ContextShape {
  std::int32_t sequences = 1;
  Position tokens = 256;            ///< of one sequence
  std::int32_t batch_tokens = 512;  ///< of one pass
  std::int32_t outputs = 64;        ///< rows of one pass
  std::int32_t threads = 1;
  bool unified = false;
};

enum class PassResult { done, aborted, failed };

/// Threads that compute passes. Contexts whose passes never overlap share them: threads that spin for the next pass of
/// one context would slow down those of another. Null for a single thread.
using Workers = std::shared_ptr<ggml_threadpool>;
[[nodiscard]] Workers start_workers(std::int32_t threads);

/// Not thread-safe, but request_abort may be called from anywhere.
class KvContext {
 public:
  /// Throws ResourceExhausted if llama.cpp cannot allocate it. Starts `shape.threads` workers if none are given.
  KvContext(std::shared_ptr<const Model> model, const ContextShape& shape, Workers workers = nullptr);
  ~KvContext();
  KvContext(const KvContext&) = delete;
  KvContext& operator=(const KvContext&) = delete;

  /// Computes one pass and waits for it. After `aborted` and `failed` no position of the batch is left in KV, unless the
  /// memory cannot roll back: then the touched sequences must be removed whole.
  PassResult decode(PassBatch& batch);
  /// Why the last pass failed.
  [[nodiscard]] const std::string& error() const noexcept { return error_; }
  /// The raw logits of a token added with `output`, until the next pass.
  [[nodiscard]] std::span<const float> row(std::int32_t index) const;

  /// The passes from now on run under this adapter. True if that changes anything: the next pass is slow then, llama.cpp
  /// plans its buffers anew.
  bool use_adapter(const AdapterUse& use);
  [[nodiscard]] const AdapterUse& adapter() const noexcept { return adapter_; }

  /// Makes a pass that runs return `aborted` soon; on a CPU only, and only until allow_passes().
  void request_abort() noexcept { abort_.store(true, std::memory_order_relaxed); }
  void allow_passes() noexcept { abort_.store(false, std::memory_order_relaxed); }

  /// Removes positions [from, end) of a sequence; from = 0 removes it whole and always succeeds.
  /// False: the memory cannot take back that part, nothing was removed. O(capacity of the stream).
  [[nodiscard]] bool remove(SeqId seq, Position from);
  /// Whether the sequence could go on behind its first `tokens` positions: sliding-window layers may have lost what the
  /// next token attends to (a restored state holds one window; unified KV gives cells outside a window to others).
  [[nodiscard]] bool holds(SeqId seq, Position tokens) const;
  /// Makes `to` (empty before) equal the first `tokens` positions of `from`. Under streams the buffers are copied by
  /// the next pass; until then both sequences are dirty.
  void copy(SeqId from, SeqId to, Position tokens);

  /// True while a copy that involves the sequence has not been carried out: its buffer is not what its cells say.
  [[nodiscard]] bool dirty(SeqId seq) const { return dirty_[static_cast<std::size_t>(seq)]; }
  [[nodiscard]] bool any_dirty() const noexcept { return pending_copies_ > 0; }

  /// From now on states are saved so that contexts of up to `streams` streams can restore them. They must be of the same
  /// model, with the same layout.
  void make_states_portable(std::int32_t streams) { portable_streams_ = streams; }
  [[nodiscard]] std::int32_t streams() const noexcept { return shape_.unified ? 1 : shape_.sequences; }
  /// Bytes that save() of this sequence would allocate now.
  [[nodiscard]] std::size_t state_bytes(SeqId seq);
  /// The sequence's KV. Empty if the sequence is dirty or llama.cpp fails.
  [[nodiscard]] KvState save(SeqId seq);
  /// Fills an empty sequence from a saved state, which stays valid. False, and the sequence is empty, if it is dirty or
  /// the state does not fit this context.
  [[nodiscard]] bool restore(SeqId seq, KvState& state);

  /// Number of positions in a sequence: its largest + 1. -1 if its first positions are missing, which only sliding
  /// windows and recurrent states may do.
  [[nodiscard]] Position length(SeqId seq) const;
  /// Positions that one sequence can hold.
  [[nodiscard]] Position capacity() const noexcept { return capacity_; }
  [[nodiscard]] const ContextShape& shape() const noexcept { return shape_; }
  void clear();

 private:
  struct ContextDelete {
    void operator()(llama_context* context) const { llama_free(context); }
  };
  static bool should_abort(void* self);
  void settle_copies();
  void forget_partial(const PassBatch& batch);

  std::shared_ptr<const Model> model_;
  ContextShape shape_;
  std::atomic<bool> abort_{false};
  Workers workers_;  // outlive the context
  std::unique_ptr<llama_context, ContextDelete> context_;
  llama_memory_t memory_ = nullptr;
  Position capacity_ = 0;
  AdapterUse adapter_;
  std::int32_t portable_streams_ = 0;  // 0: states fit this context only
  std::vector<bool> dirty_;
  std::size_t pending_copies_ = 0;
  std::string error_;
};

}  // namespace poise::llama
