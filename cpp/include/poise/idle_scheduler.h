// Which anticipation deserves the next idle step. A pure data structure: no threads, no executor; time
// comes through a Clock, so the same events give the same choices. Not thread-safe: its owner locks.
//
// Value of a candidate = P(the next request comes and consumes it) x milliseconds saved / milliseconds spent.
//   P               learned per (session, kind) and shrunk towards the rate of that kind in the session's tenant
//                   (Beta prior), times the candidate's weight; 1 for the log itself. Tenants learn nothing
//                   from each other
//   saved, spent    from the candidate's remaining tokens and the measured costs of the executor's steps; the
//                   formula stands in src/idle/value.h
// At equal P: short ways to a decision point, then long ones, then the log and framing, then continuations.
// Equal values rotate: the tenant, then its session, then the session's candidate served longest ago.
// New rates and costs reach the waiting candidates within size() / 16 calls of next().
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "poise/clock.h"
#include "poise/session.h"

namespace poise {

struct IdleOptions {
  double max_time_share = 1.0;                       ///< of idle wall time that may be spent, all tenants; (0, 1]
  double max_tenant_time_share = 1.0;                ///< the same for one tenant
  Duration budget_window{std::chrono::seconds(10)};  ///< how much unspent share may be saved up
  double min_hit_rate = 0.05;                        ///< back off below this share of used entries...
  std::int32_t hit_rate_samples = 32;                ///< ...once this many outcomes are known (per tenant)
  Duration back_off{std::chrono::seconds(5)};        ///< first pause; doubles while the rate stays low, up to 64 x
  /// Probability that a request's own sampling agrees with one more token of a continuation; (0, 1].
  double continuation_agreement = 0.9;
};

using SessionKey = std::uint64_t;  ///< the manager's internal number of a session
using TenantKey = std::uint64_t;

struct IdleCandidate {
  SessionKey session = 0;
  AnticipationId anticipation = 0;  ///< 0 = bringing the log itself up to date
  TenantKey tenant = 0;
  AnticipationKind kind = AnticipationKind::turn;
  std::int32_t prefill_tokens = 0;     ///< still to compute before the decision point, the log's own included
  std::int32_t completion_tokens = 0;  ///< of the guess: still to be written by the model, before the decision point
  std::int32_t decode_tokens = 0;      ///< still to pre-decode behind the decision point
  std::int32_t decoded_tokens = 0;     ///< pre-decoded behind it already
  bool decides = true;                 ///< ends at a decision point; false: framing, or the log
  /// This candidate's share among its kind in its session, [0, 1]. Guesses that exclude each other should sum to
  /// 1: the learned rate is then the probability that one of them comes true.
  double weight = 1.0;
};

/// Measured cost of the executor's steps, exponentially averaged.
struct CostModel {
  double prefill_us_per_token = 100.0;
  double decode_us_per_step = 2000.0;
};

class IdleScheduler {
 public:
  /// `clock` null means SteadyClock. Throws InvalidArgument for an option out of its range.
  IdleScheduler(const IdleOptions& options, std::shared_ptr<const Clock> clock);
  ~IdleScheduler();
  IdleScheduler(const IdleScheduler&) = delete;
  IdleScheduler& operator=(const IdleScheduler&) = delete;

  /// Inserts the candidate, or replaces the one with the same (session, anticipation). One that asks for no work
  /// or has no weight is withdrawn instead. O(log sessions + candidates of this session).
  /// Throws InvalidArgument (negative tokens, weight outside [0, 1], a session that was another tenant's), nothing changed.
  void offer(const IdleCandidate& candidate);
  /// Unknown candidates are ignored.
  void withdraw(SessionKey session, AnticipationId anticipation);
  /// Forgets the candidates of a session; `forget_history` everything learned about it too (it was closed).
  void withdraw_session(SessionKey session, bool forget_history);

  /// The most valuable candidate that the budgets allow now, which counts as served; it stays in the queue until
  /// it is replaced or withdrawn. Nothing: none left, or none affordable before retry_at().
  /// O(log sessions + candidates of its session).
  [[nodiscard]] std::optional<IdleCandidate> next();
  /// When next() may return something: now or earlier if it would already, nothing if the queue is empty.
  [[nodiscard]] std::optional<TimePoint> retry_at() const;

  /// Charges the budgets and learns the costs from finished idle work. A budget is charged afterwards, so it may be
  /// exceeded by one job: spent <= share x (span + budget_window) + one job, over every span of time.
  /// A tenant whose hit rate is low pauses its guesses; its logs are still brought up to date.
  void on_work(TenantKey tenant, std::int32_t prefilled_tokens, Duration prefill, std::int32_t decoded_tokens,
               Duration decode);
  /// Learns the costs from a request's work; charges nothing.
  void on_request_work(std::int32_t prefilled_tokens, Duration prefill, std::int32_t decoded_tokens, Duration decode);
  /// An entry's end. `used` raises, `stale` lowers the learned rate of (session, kind); `evicted` and
  /// `cancelled` say nothing about the client and change nothing. `weight`: the candidate's, in [0, 1].
  void on_outcome(SessionKey session, TenantKey tenant, AnticipationKind kind, EntryOutcome outcome,
                  double weight = 1.0);

  /// Learned probability that the next request consumes an entry of this kind, per unit of weight. A session that was
  /// never offered has the rate that every tenant starts from, 1/2.
  [[nodiscard]] double probability(SessionKey session, AnticipationKind kind) const;
  /// With the rates and costs of this moment, whether the candidate is in the queue or not.
  [[nodiscard]] double value(const IdleCandidate& candidate) const;
  [[nodiscard]] const CostModel& costs() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;  ///< candidates in the queue
  /// Sessions and tenants that something is remembered about. A tenant is forgotten some time after its last session,
  /// when its budget is full again.
  [[nodiscard]] std::size_t sessions_known() const noexcept;
  [[nodiscard]] std::size_t tenants_known() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poise
