// What a session is, says and answers: the plain types of the SessionManager's interface.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "poise/clock.h"
#include "poise/constraint.h"
#include "poise/executor.h"
#include "poise/sampling.h"
#include "poise/types.h"

namespace poise {

/// 128 random bits, minted by the manager, written as 32 hexadecimal digits.
using SessionId = std::string;
using TurnId = std::uint64_t;
using AnticipationId = std::uint64_t;
/// Counts commits to a session's log. 0 = empty log.
using DataVersion = std::uint64_t;

/// How a first token was produced, cheapest first.
enum class Path { ready, gate, entry, prefix, cold };
inline constexpr std::size_t kPathCount = 5;

/// What is guessed about the next request.
enum class AnticipationKind {
  turn,         ///< only the template's framing is known
  question,     ///< registered: all of it is known
  tool_result,  ///< the envelope of the pending call, and its likely contents
  partial,      ///< text that is still being typed
  hint,         ///< sent by the client
};
inline constexpr std::size_t kAnticipationKindCount = 5;

/// Where a guess comes from.
enum class AnticipationSource { none, declared, learned, model, client };

enum class EntryPlacement { resident, branch, detached };

/// How an entry ended.
enum class EntryOutcome { used, stale, evicted, cancelled };
inline constexpr std::size_t kEntryOutcomeCount = 4;

[[nodiscard]] const char* to_string(Path path) noexcept;
[[nodiscard]] const char* to_string(AnticipationKind kind) noexcept;
[[nodiscard]] const char* to_string(AnticipationSource source) noexcept;
[[nodiscard]] const char* to_string(EntryPlacement placement) noexcept;
[[nodiscard]] const char* to_string(EntryOutcome outcome) noexcept;
[[nodiscard]] const char* to_string(FinishReason reason) noexcept;

/// One message of the log: who said it, the digest that recognises it when it is resent, and its tokens.
struct MessageSpan {
  std::string role;
  std::string digest;  ///< canonical digest, minted by the text layer; may be empty
  Position begin = 0;  ///< in a TurnRequest or append: relative to its tokens; in a session: absolute
  Position end = 0;
};

/// How a model marks its thoughts, as ids. A continuation decoded ahead that is inside a thought goes on up to `tokens`
/// of it; what follows the end mark counts against continuation_tokens as ever.
struct ThoughtOptions {
  Tokens begin, end;          ///< neither is empty
  std::int32_t tokens = 256;  ///< cap of thought decoded ahead, at least 0
};

/// Keeps a log within a length by dropping its oldest data behind the head; whole messages where their spans are known.
/// The shortened log is prefilled into a second sequence in idle time; slide() then swaps. Keys are never shifted.
struct WindowOptions {
  Position head_tokens = 0;  ///< stay for ever (a system prompt); widened to the end of a message
  Position keep_tokens = 0;  ///< length after a drop, head included; above head_tokens
  Position max_tokens = 0;   ///< the log never exceeds it; above keep_tokens. Preparation starts half way between
  bool automatic = true;     ///< append and turn call slide() by themselves; false: the caller does, between requests
};

/// What a slide has taken out of the log: tokens [begin, end), and the messages that lay in them.
struct WindowDrop {
  Position begin = 0;
  Position end = 0;
  std::size_t first_message = 0, message_count = 0;
  bool prepared = false;  ///< its KV was ready: nothing is left to prefill
};

struct OpenOptions {
  std::string tenant = "default";
  std::int32_t adapter_id = 0;
  float adapter_scale = 0.0F;
  std::uint64_t text_salt = 0;  ///< sessions that differ in it share no KV; see KvKey
  Tokens tokens;                ///< first content of the log; may be empty
  std::vector<MessageSpan> messages;
  std::int32_t retention_priority = 80;                   ///< of the log's KV, 36..100
  std::optional<std::chrono::milliseconds> time_to_live;  ///< of the log's KV after the last use
  bool preposition = true;                                ///< false: idle time is never spent on this session
  /// A declared beginning, prefilled once for its tenant's sessions of equal adapter and text_salt. Hidden: neither
  /// listed nor counted as a session.
  bool base_prefix = false;
  std::int32_t continuation_tokens = 16;  ///< how far entries are decoded ahead; 0 = distribution only
  SamplingParams sampling;                ///< the sampling that entries expect; a turn brings its own
  Tokens stop_tokens;                     ///< where a pre-decoded continuation ends; empty = the model's end tokens
  std::optional<ThoughtOptions> thought;
  std::optional<WindowOptions> window;
};

/// A guess, as ids. One of three shapes:
///   decides = false               a prefix of what comes (framing): prefilled, no distribution
///   decides = true                everything up to the decision point: ready distribution and continuation
///   completion_tokens > 0         the model writes the rest of the guess itself up to one of
///                                 `completion_stops`; then `suffix` follows and the guess decides
struct Anticipation {
  AnticipationKind kind = AnticipationKind::hint;
  AnticipationSource source = AnticipationSource::client;
  Tokens tokens;  ///< what would follow the log; at least one id
  bool decides = true;
  std::int32_t completion_tokens = 0;
  Tokens completion_stops;
  Tokens suffix;
  /// Of the answer: the continuation is decoded ahead under it, in its initial state at the decision point.
  std::shared_ptr<const Constraint> constraint;
  double weight = 1.0;  ///< the caller's belief among guesses of this kind, [0, 1]
  /// Survives commits and is computed again behind each new version (a registered question).
  bool persistent = false;
  bool may_branch = false;  ///< may use a sequence of its own if that pays
  /// Takes the place of this anticipation (0 = of none): text that is typed on. KV that both share stays.
  AnticipationId replaces = 0;
  std::string label;  ///< free text that comes back in events, for people
};

/// The gate, uncertified: the caller names threshold and answers (the paper's mode).
/// Fires if an entry of the current version is a prefix of the request, its best id over the whole
/// vocabulary is one of the answers, and the logit gap between the best two answers reaches the threshold.
struct GateOptions {
  float gap_threshold = 2.0F;  ///< logits; finite, >= 0
  Tokens answer_set;           ///< at least two ids
};

struct TurnRequest {
  Tokens tokens;                      ///< what the request adds behind the log (or behind `rebase_to`)
  std::vector<MessageSpan> messages;  ///< spans inside `tokens`
  std::optional<Position> rebase_to;  ///< replaces the log from this position on
  bool durable = true;                ///< false: commits nothing
  std::int32_t max_new_tokens = 256;
  SamplingParams sampling;
  Tokens stop_tokens;  ///< empty = the model's end tokens
  std::shared_ptr<const Constraint> constraint;
  std::int32_t top_logprobs = 0;
  std::optional<GateOptions> gate;
  bool keep_partial = false;  ///< a cancelled durable turn commits what it has
  bool use_entries = true;    ///< false: answers as plain prefix caching would
  std::string answer_role = "assistant";
};

/// Known before or with the first token.
struct TurnStart {
  TurnId turn = 0;
  Path path = Path::cold;
  AnticipationSource source = AnticipationSource::none;
  std::optional<AnticipationKind> kind;  ///< of the entry that was consumed
  std::string label;                     ///< of the entry that was consumed
  EntryPlacement placement = EntryPlacement::resident;
  DataVersion data_version = 0;           ///< the version that the answer saw
  std::int32_t prepositioned_tokens = 0;  ///< of the request's tokens: prepaid by an entry
  std::int32_t continuation_tokens = 0;   ///< answer tokens that were already there
  std::int32_t thought_tokens = 0;        ///< of the continuation: inside a thought
  std::int32_t delta_tokens = 0;          ///< of the request's tokens: new
  std::optional<float> gap;               ///< logit gap of the ready distribution, on ready and gate
  std::optional<float> gap_threshold;     ///< on gate
  double entry_age_ms = 0.0;
};

struct TurnToken {
  std::int32_t index = 0;  ///< 0-based among the answer's tokens
  TokenId token = kNoToken;
  float logprob = 0.0F;
  bool prepositioned = false;  ///< came from an entry
  bool forced = false;         ///< the constraint left no choice
  std::vector<TokenLogprob> top_logprobs;
};

struct TurnEnd {
  FinishReason reason = FinishReason::error;
  std::string error;
  Tokens answer;                    ///< with the completing stop token, as committed
  DataVersion data_version = 0;     ///< after the commit
  std::int32_t context_tokens = 0;  ///< log + request
  std::int32_t reused_tokens = 0;
  std::int32_t prefilled_tokens = 0;    ///< computed before the first token, on the critical path
  std::int32_t reprefilled_tokens = 0;  ///< computed again after the first token was out (detached entries)
  std::int32_t decoded_tokens = 0;      ///< answer tokens that were decoded for this turn
  Duration first_token{};               ///< turn() to the first token's callback
  Duration total{};
};

/// Receives one turn. on_start and the first tokens of `ready` and `gate` come on the caller's thread inside
/// turn(); all others on the executor's. Must not block; may call cancel and stop_at.
class TurnSink {
 public:
  virtual ~TurnSink() = default;
  virtual void on_start(const TurnStart& start) = 0;
  virtual void on_token(const TurnToken& token) = 0;
  virtual void on_end(const TurnEnd& end) = 0;
};

struct AppendResult {
  DataVersion data_version = 0;
  bool queued = false;                ///< a durable turn runs: joins the log when it has committed
  std::int32_t advanced_entries = 0;  ///< guesses that this append has confirmed so far
};

struct EntryState {
  AnticipationId id = 0;
  AnticipationKind kind = AnticipationKind::hint;
  AnticipationSource source = AnticipationSource::none;
  EntryPlacement placement = EntryPlacement::detached;
  std::string label;
  std::int32_t tokens = 0;  ///< behind the log
  std::int32_t continuation_tokens = 0;
  std::int32_t thought_tokens = 0;  ///< of the continuation: inside a thought
  bool decides = false;
  bool ready = false;  ///< has its distribution
  float gap = 0.0F;
  TokenId top1 = kNoToken;
  DataVersion data_version = 0;
};

/// What a base prefix has spared the sessions that began with it.
struct PrefixUse {
  std::uint64_t sessions_started = 0;
  std::uint64_t tokens_saved = 0;  ///< found resident where they would have been prefilled
  Duration time_saved{};           ///< their measured prefill cost, less that of the copies
  bool estimated = false;          ///< the executor does not tell one of these costs: it is missing in time_saved
};

struct SessionState {
  SessionId id;
  std::string tenant;
  Tokens log;
  std::vector<MessageSpan> messages;
  DataVersion data_version = 0;
  DataVersion resident_version = 0;  ///< newest version whose whole log is in KV (but for its last id)
  Position resident_tokens = 0;
  Position window_dropped_tokens = 0;  ///< by all slides so far
  bool window_prepared = false;        ///< the next slide has its KV
  bool busy = false;                   ///< a durable turn runs
  std::string idle_error;              ///< why idle work on this session stopped; empty if it did not
  bool base_prefix = false;
  PrefixUse prefix_use;  ///< of a base prefix
  std::vector<EntryState> entries;
};

}  // namespace poise
