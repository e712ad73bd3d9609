// Which anticipation deserves the next idle step. A pure data structure: no threads, no executor; time
// comes through a Clock, so the same events give the same choices. Not thread-safe: its owner locks.
//
// Value of a candidate = P(the next request comes and consumes it) x milliseconds saved / milliseconds spent.
//   P               learned per (session, kind) and shrunk towards the kind's overall rate (Beta prior),
//                   times the candidate's weight
//   saved, spent    from the candidate's remaining tokens and the measured costs of the executor's steps
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "poise/clock.h"
#include "poise/session.h"

namespace poise {

struct IdleOptions {
  double max_time_share = 1.0;         ///< of idle wall time that may be spent, all tenants; (0, 1]
  double max_tenant_time_share = 1.0;  ///< the same for one tenant
  Duration budget_window{std::chrono::seconds(10)};  ///< how much unspent share may be saved up
  double min_hit_rate = 0.05;          ///< back off below this share of used entries...
  std::int32_t hit_rate_samples = 32;  ///< ...once this many outcomes are known (per tenant)
  Duration back_off{std::chrono::seconds(5)};        ///< first pause; doubles while the rate stays low, up to 64 x
};

using SessionKey = std::uint64_t;      ///< the manager's internal number of a session
using TenantKey = std::uint64_t;

struct IdleCandidate {
  SessionKey session = 0;
  AnticipationId anticipation = 0;     ///< 0 = bringing the log itself up to date
  TenantKey tenant = 0;
  AnticipationKind kind = AnticipationKind::turn;
  std::int32_t prefill_tokens = 0;     ///< still to compute before the decision point
  std::int32_t decode_tokens = 0;      ///< still to pre-decode behind it
  double weight = 1.0;                 ///< this candidate's share among its kind in its session, [0, 1]
};

/// Measured cost of the executor's steps, exponentially averaged.
struct CostModel {
  double prefill_us_per_token = 100.0;
  double decode_us_per_step = 2000.0;
};

class IdleScheduler {
 public:
  IdleScheduler(const IdleOptions& options, std::shared_ptr<const Clock> clock);
  ~IdleScheduler();

  /// Inserts the candidate, or replaces the one with the same (session, anticipation). O(log n).
  void offer(const IdleCandidate& candidate);
  void withdraw(SessionKey session, AnticipationId anticipation);
  /// Forgets the candidates of a session; `forget_history` its learned rates too.
  void withdraw_session(SessionKey session, bool forget_history);

  /// The most valuable candidate that the budgets allow now; it stays in the queue until it is replaced or
  /// withdrawn. Nothing: none left, or none affordable before retry_at(). O(log n).
  [[nodiscard]] std::optional<IdleCandidate> next();
  /// When a refused candidate becomes affordable; nothing if the queue is empty.
  [[nodiscard]] std::optional<TimePoint> retry_at() const;

  /// Charges the budgets and learns the costs from finished idle work.
  void on_work(TenantKey tenant, std::int32_t prefilled_tokens, Duration prefill, std::int32_t decoded_tokens,
               Duration decode);
  /// Learns the costs from a request's work; charges nothing.
  void on_request_work(std::int32_t prefilled_tokens, Duration prefill, std::int32_t decoded_tokens, Duration decode);
  /// An entry's end. `used` raises, `stale` lowers the learned rate of (session, kind); `evicted` and
  /// `cancelled` say nothing about the client and are only counted.
  void on_outcome(SessionKey session, TenantKey tenant, AnticipationKind kind, EntryOutcome outcome);

  [[nodiscard]] double probability(SessionKey session, AnticipationKind kind) const;
  [[nodiscard]] double value(const IdleCandidate& candidate) const;
  [[nodiscard]] const CostModel& costs() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poise
