// The Executor seam: what Poise needs from an inference engine. Request-level, because
// TensorRT-LLM's executor owns its loop; the embedded executor is shaped like it.
//
// Contract that every implementation passes (tests/executors/):
//   - All methods are thread-safe. Sinks are called on the executor's thread, one call at a time
//     a request, in this order: on_start, then on_logits and on_token in position order (a token's
//     row comes before the token), then on_finish exactly once, also after cancel, error and
//     shutdown. A sink must not block and may call enqueue, cancel, resident_prefix and stats, but
//     not release or shutdown. No lock of the executor is held while a sink or listener runs, and
//     enqueue, cancel, resident_prefix and stats never wait for a step in progress.
//   - Requests of one owner (other than kNoOwner) run one after another in the order of enqueue. Idle work of
//     an owner is cancelled when a request of that owner arrives; what it prefilled stays.
//   - A request whose priority is at least kRequestPriority always runs before idle work; idle work
//     pauses at a step boundary (or is interrupted) and goes on when no request runs or waits.
//   - Reuse never changes an answer: a context that starts with resident tokens of the same KvKey
//     prefills the rest only. Two KvKeys never share a token of KV.
//   - After any end of a request nothing of it stays in KV except the prefix that its retention keeps.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poise/constraint.h"
#include "poise/sampling.h"
#include "poise/scan.h"
#include "poise/types.h"

namespace poise {

using RequestId = std::uint64_t;

/// Who keeps a run of KV alive: one session, or one branch entry. 0 = nobody (stateless traffic).
/// An owner's own sequence may be rolled back and extended in place; another owner's is only copied.
using OwnerId = std::uint64_t;
inline constexpr OwnerId kNoOwner = 0;

/// At or above: a request. Below: idle work.
inline constexpr float kRequestPriority = 0.5F;

/// What must be equal for two contexts to share KV.
struct KvKey {
  std::uint64_t tenant_salt = 0;  ///< one value a tenant, set by the server, never by a client
  std::int32_t adapter_id = 0;    ///< 0 = no LoRA adapter
  float adapter_scale = 0.0F;
  std::uint64_t text_salt = 0;  ///< the text layer's: a digest of template arguments and tool definitions
  friend bool operator==(const KvKey&, const KvKey&) = default;
};

/// How much the KV of a range of tokens is worth keeping after the request has ended.
struct Retention {
  Position begin = 0;
  Position end = -1;           ///< -1 = to the end of the sequence, generated tokens included
  std::int32_t priority = 35;  ///< 0 (first to go) to 100; 35 is TensorRT-LLM's default
  /// Falls back to priority 35 (or stays lower) this long after the request's end. Unset: never.
  std::optional<std::chrono::milliseconds> time_to_live;
};

/// Which raw logits a request returns.
struct LogitsWanted {
  /// Context positions p whose output row (the distribution of position p + 1) is returned, ascending.
  std::vector<Position> context_positions;
  bool generated = false;  ///< the row from which each generated token was chosen; forced tokens have none
};

struct Request {
  Tokens context;                   ///< the whole context, at least one id; the executor reuses what is resident
  Position output_start = -1;       ///< where generated text began: base of penalties; -1 = context.size()
  std::int32_t max_new_tokens = 0;  ///< 0 = prefill only
  SamplingParams sampling;
  Tokens stop_tokens;  ///< generation ends with, and includes, the first of these
  /// State before context[output_start]; the executor clones it and accepts context[output_start..) first.
  std::shared_ptr<const Constraint> constraint;
  float priority = kRequestPriority;  ///< in [0, 1]
  KvKey key;
  OwnerId owner = kNoOwner;
  std::vector<Retention> retention;  ///< empty = priority 35 for everything
  LogitsWanted logits;
  std::int32_t top_logprobs = 0;  ///< the n best ids with each generated token, 0..20
};

struct GeneratedToken {
  TokenId token = kNoToken;
  Position position = 0;  ///< absolute
  float logprob = 0.0F;
  ScanStatistics stats;
  std::vector<TokenLogprob> top_logprobs;
  bool forced = false;  ///< the constraint left no choice: no row, no draw; logprob is 0
};

/// One raw row, shape [vocab_size], valid during the call only. On the host.
struct LogitsView {
  Position position = 0;  ///< the row is the distribution of the token at this position
  std::span<const float> row;
};

enum class FinishReason { stop, length, constraint, prefilled, cancelled, error };

/// Why an ended request ended, and what it cost. Durations are wall time.
struct Completion {
  FinishReason reason = FinishReason::error;
  std::string error;                  ///< why, if reason is error; or cancelled, for idle work that got no sequence
  std::int32_t reused_tokens = 0;     ///< context tokens whose KV was resident
  std::int32_t copied_tokens = 0;     ///< of those: copied from another sequence
  std::int32_t restored_tokens = 0;   ///< of those: read back from where they were parked
  std::int32_t prefilled_tokens = 0;  ///< context tokens computed for this request
  std::int32_t generated_tokens = 0;
  Position resident_tokens = 0;        ///< length of the owner's resident sequence afterwards
  std::chrono::nanoseconds queued{};   ///< enqueue to first step
  std::chrono::nanoseconds prefill{};  ///< executor time of its prefill steps
  std::chrono::nanoseconds decode{};   ///< executor time of its decode steps (its share of shared passes)
};

/// Receives one request's results. See the threading rules above.
class Sink {
 public:
  virtual ~Sink() = default;
  /// The request left the queue; `reused_tokens` of its context are resident.
  virtual void on_start(RequestId id, std::int32_t reused_tokens);
  virtual void on_logits(RequestId id, const LogitsView& logits);
  virtual void on_token(RequestId id, const GeneratedToken& token);
  virtual void on_finish(RequestId id, const Completion& completion) = 0;
};

enum class Reuse { exact, one_token_short };
enum class Device { host, device };

/// For each option: does "n tokens, then a second request for m" equal "one request for n + m"?
struct SplitEquality {
  bool greedy = false, seeded_sampling = false, penalties = false, bias = false, constraint = false,
       stop_tokens = false, logprobs = false;
};

/// Facts that do not change while the executor lives.
struct ExecutorInfo {
  std::string name;  ///< "llama", "sim", "trtllm"
  std::string model_name;
  std::string model_fingerprint;  ///< hex digest over what decides the logits
  std::int32_t vocab_size = 0;
  Tokens end_tokens;              ///< ids that end generation by the model's own declaration
  std::int32_t block_tokens = 1;  ///< granularity of reuse
  std::int32_t max_sequences = 0;
  Position max_context_tokens = 0;       ///< of one sequence, generated tokens included
  std::int32_t idle_quantum_tokens = 0;  ///< prefill tokens that one idle step may compute
  Reuse reuse = Reuse::exact;
  Device logits_device = Device::host;
  bool can_roll_back = true;  ///< false: recurrent or sliding-window memory; a mismatch prefills anew
  SplitEquality split;
  std::uint64_t kv_bytes = 0;  ///< allocated for KV
  std::uint64_t kv_bytes_per_token = 0;
  std::string memory_plan;  ///< one line for people: sequences x tokens x bytes
};

/// Monotonic counters and current values.
struct ExecutorStats {
  // now
  std::int32_t running_requests = 0, waiting_requests = 0;  ///< priority >= kRequestPriority
  std::int32_t running_idle = 0, waiting_idle = 0;
  std::int32_t sequences_used = 0;
  std::int64_t resident_tokens = 0, parked_tokens = 0;
  std::uint64_t parked_bytes = 0;
  // since start
  std::uint64_t steps = 0, idle_steps = 0, interrupted_steps = 0;
  std::uint64_t prefilled_tokens = 0, decoded_tokens = 0;
  std::uint64_t idle_prefilled_tokens = 0, idle_decoded_tokens = 0;
  std::uint64_t hole_tokens = 0;  ///< throwaway tokens that filled holes of a batch
  std::uint64_t copies = 0, parks = 0, restores = 0, evictions = 0, rollbacks = 0;
  std::chrono::nanoseconds busy{}, idle_busy{};  ///< time in request steps, in idle steps
  double prefill_us_per_token = 0.0;             ///< measured, exponentially averaged
  double decode_us_per_step = 0.0;
  double copy_us = 0.0;  ///< of one prefix to another sequence, measured; 0 = not told
};

class Executor {
 public:
  virtual ~Executor() = default;

  /// Queues a request. Throws InvalidArgument (empty context, ids out of range, bad sampling),
  /// ContextOverflow (context + max_new_tokens > max_context_tokens) or ExecutorError (shut down), before KV
  /// or queue are touched. The sink may be called before enqueue returns.
  virtual RequestId enqueue(Request request, std::shared_ptr<Sink> sink) = 0;

  /// Asks a request to end at the next step boundary with FinishReason::cancelled. Unknown or ended ids are ignored.
  virtual void cancel(RequestId id) = 0;

  /// Longest prefix of `context` that a request by `owner` would reuse without copy or restore.
  [[nodiscard]] virtual Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const = 0;

  /// Gives up an owner's KV behind the first `keep_tokens`; 0 forgets the owner and frees its sequence,
  /// parked copies included. Acts before any later enqueue. Running requests of the owner are cancelled if 0.
  virtual void release(OwnerId owner, Position keep_tokens) = 0;

  [[nodiscard]] virtual const ExecutorInfo& info() const noexcept = 0;
  [[nodiscard]] virtual ExecutorStats stats() const = 0;

  /// Called whenever the executor becomes idle (no request runs or waits) and whenever an idle request ends.
  /// Runs on the executor's thread. One listener; empty removes it.
  virtual void on_idle(std::function<void()> listener) = 0;

  /// Checks the books: tree, sequences, owners and memory agree. Throws ExecutorError naming the first mismatch.
  /// Call while no request runs.
  virtual void check_integrity() const = 0;

  /// Ends all requests (cancelled) and the executor's thread. Idempotent; the destructor calls it.
  virtual void shutdown() = 0;
};

/// Checks everything about a request that does not need the executor's state; implementations call it first.
void validate(const Request& request, const ExecutorInfo& info);

}  // namespace poise
