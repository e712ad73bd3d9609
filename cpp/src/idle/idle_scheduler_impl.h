// The state behind IdleScheduler: a heap of lanes over heaps of sessions over short lists of candidates.
//
// A lane that may not spend now stands in `waiting_`, ordered by the time when it may; all others with
// candidates in `eligible_`, ordered by their best candidate. A tenant without budget is therefore never looked at.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "idle/back_off.h"
#include "idle/cost_meter.h"
#include "idle/indexed_heap.h"
#include "idle/session_queue.h"
#include "idle/slab.h"
#include "idle/time_share.h"
#include "poise/idle_scheduler.h"

namespace poise {

class IdleScheduler::Impl {
 public:
  Impl(const IdleOptions& options, std::shared_ptr<const Clock> clock);

  void offer(const IdleCandidate& candidate);
  void withdraw(SessionKey session, AnticipationId anticipation);
  void withdraw_session(SessionKey session, bool forget_history);
  [[nodiscard]] std::optional<IdleCandidate> next();
  [[nodiscard]] std::optional<TimePoint> retry_at() const;
  void charge(TenantKey tenant, Duration spent);
  void learn_costs(std::int32_t prefilled_tokens, Duration prefill, std::int32_t decoded_tokens, Duration decode);
  void on_outcome(SessionKey session, TenantKey tenant, AnticipationKind kind, bool used, double weight);

  [[nodiscard]] double probability(SessionKey session, AnticipationKind kind) const;
  [[nodiscard]] double value(const IdleCandidate& candidate) const;
  [[nodiscard]] const CostModel& costs() const noexcept { return costs_; }
  [[nodiscard]] std::size_t size() const noexcept { return candidates_; }
  [[nodiscard]] std::size_t sessions_known() const noexcept { return sessions_.size(); }
  [[nodiscard]] std::size_t tenants_known() const noexcept { return tenants_.size(); }

 private:
  /// More valuable first, then served longest ago, then older.
  struct Rank {
    double value = 0.0;
    std::uint64_t served = 0;
    std::uint64_t order = 0;
    [[nodiscard]] bool before(const Rank& other) const noexcept {
      if (value != other.value) return value > other.value;
      if (served != other.served) return served < other.served;
      return order < other.order;
    }
  };
  struct Due {
    TimePoint at{};
    std::uint64_t order = 0;
    [[nodiscard]] bool before(const Due& other) const noexcept {
      return at != other.at ? at < other.at : order < other.order;
    }
  };
  struct Tenant {
    TenantKey key = 0;
    bool alive = false;
    std::uint64_t order = 0;
    std::size_t sessions = 0;
    TimePoint forget_at{};  ///< its place in dormant_, while it has no session
    idle::TimeShare budget{1.0, Duration{}, TimePoint{}};
    idle::BackOff back_off;
    std::array<idle::Rate, kAnticipationKindCount> rates;
    std::vector<idle::IndexedHeap<Rank>> lanes;  ///< of session indices, one a Lane
    std::array<std::uint64_t, idle::kLaneCount> served{};
  };

  std::uint32_t known_session(const IdleCandidate& candidate);
  std::uint32_t known_tenant(TenantKey key);
  void forget_dormant(TimePoint now);

  [[nodiscard]] double rate(const idle::SessionQueue* session, const Tenant* tenant,
                            AnticipationKind kind) const noexcept;
  [[nodiscard]] double worth(const IdleCandidate& candidate, const idle::SessionQueue* session,
                             const Tenant* tenant) const noexcept;
  /// Computes the values of a session's candidates anew.
  void revalue(std::uint32_t session);
  /// Puts a session, then its tenant's lanes, where their best candidates belong.
  void place(std::uint32_t session);
  void place_lane(std::uint32_t tenant, idle::Lane lane, TimePoint now);
  void place_lanes(std::uint32_t tenant, TimePoint now);
  [[nodiscard]] TimePoint lane_due(const Tenant& tenant, idle::Lane lane, TimePoint now) const noexcept;
  void release_due(TimePoint now);
  /// Revalues some sessions whose values are older than the last change of rates or costs.
  void refresh();

  const IdleOptions options_;
  const std::shared_ptr<const Clock> clock_;
  CostModel costs_;
  std::size_t candidates_ = 0;
  idle::Slab<idle::SessionQueue> sessions_;
  idle::Slab<Tenant> tenants_;
  idle::TimeShare budget_;
  idle::CostMeter prefill_cost_;
  idle::CostMeter decode_cost_;
  std::uint64_t ticks_ = 0;   ///< serves next() has made
  std::uint64_t orders_ = 0;  ///< sessions and tenants ever created

  std::array<idle::HeapPlaces, idle::kLaneCount> session_places_;  ///< by session index
  idle::HeapPlaces eligible_places_, waiting_places_;              ///< by tenant index x kLaneCount + lane
  idle::IndexedHeap<Rank> eligible_{&eligible_places_};
  idle::IndexedHeap<Due> waiting_{&waiting_places_};
  std::set<std::pair<TimePoint, TenantKey>> dormant_;  ///< tenants without a session, by when they may be forgotten
  std::uint32_t refresh_cursor_ = 0;
  std::uint32_t refresh_left_ = 0;  ///< session indices that may hold old values
};

}  // namespace poise
