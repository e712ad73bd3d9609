#include "idle/idle_scheduler_impl.h"

#include <algorithm>

#include "common/format.h"
#include "idle/value.h"
#include "poise/error.h"

namespace poise {
namespace {

using idle::kGuessLane;
using idle::kLaneCount;
using idle::kLogLane;
using idle::Lane;
using idle::lane_of;
using idle::SessionQueue;

// A tenant's rate starts as one half, worth two outcomes (the uniform Beta prior); a session's starts as its tenant's.
constexpr double kPriorRate = 0.5;
constexpr double kTenantPriorStrength = 2.0;
constexpr double kSessionPriorStrength = 4.0;
// Offered weight after which old outcomes count half: people and agents change their habits.
constexpr double kTenantMemory = 1024.0;
constexpr double kSessionMemory = 128.0;
// Units after which old measurements count half.
constexpr double kPrefillMemory_tokens = 8192.0;
constexpr double kDecodeMemory_steps = 512.0;
// How much one next() refreshes at most: bounds its time whatever the number of sessions_.
constexpr std::uint32_t kRefreshSessions = 16;
constexpr std::size_t kRefreshCandidates = 64;
// How often one next() may find that its best candidate's value has fallen.
constexpr int kMaxRetries = 8;
// How long a tenant without sessions keeps what was learned about it, at least.
constexpr Duration kDormantTime = std::chrono::minutes(1);

std::uint32_t lane_id(std::uint32_t tenant, Lane lane) noexcept { return tenant * kLaneCount + lane; }

}  // namespace

IdleScheduler::Impl::Impl(const IdleOptions& idle_options, std::shared_ptr<const Clock> clock)
    : options_(idle_options),
      clock_(std::move(clock)),
      budget_(options_.max_time_share, options_.budget_window, clock_->now()),
      prefill_cost_(costs_.prefill_us_per_token, kPrefillMemory_tokens),
      decode_cost_(costs_.decode_us_per_step, kDecodeMemory_steps) {}

// ---- sessions and tenants

std::uint32_t IdleScheduler::Impl::known_session(const IdleCandidate& candidate) {
  const std::uint32_t index = sessions_.find(candidate.session);
  if (index != sessions_.kNone) {
    const TenantKey tenant = tenants_[sessions_[index].tenant].key;
    if (tenant != candidate.tenant) {
      throw InvalidArgument(text("idle candidate of session ", candidate.session, " names tenant ", candidate.tenant,
                                 ", the session belongs to ", tenant, "; close the session first"));
    }
    return index;
  }
  SessionQueue session;
  session.key = candidate.session;
  session.tenant = known_tenant(candidate.tenant);
  session.order = ++orders_;
  ++tenants_[session.tenant].sessions;
  return sessions_.add(candidate.session, std::move(session));
}

std::uint32_t IdleScheduler::Impl::known_tenant(TenantKey key) {
  const TimePoint now = clock_->now();
  forget_dormant(now);
  const std::uint32_t index = tenants_.find(key);
  if (index != tenants_.kNone) {
    if (tenants_[index].sessions == 0) dormant_.erase({tenants_[index].forget_at, key});
    return index;
  }
  Tenant tenant;
  tenant.key = key;
  tenant.order = ++orders_;
  tenant.budget = idle::TimeShare(options_.max_tenant_time_share, options_.budget_window, now);
  for (idle::HeapPlaces& places : session_places_) tenant.lanes.emplace_back(&places);
  return tenants_.add(key, std::move(tenant));
}

void IdleScheduler::Impl::forget_dormant(TimePoint now) {
  while (!dormant_.empty() && dormant_.begin()->first <= now) {
    tenants_.remove(dormant_.begin()->second);
    dormant_.erase(dormant_.begin());
  }
}

void IdleScheduler::Impl::withdraw_session(SessionKey key, bool forget_history) {
  const std::uint32_t index = sessions_.find(key);
  if (index == sessions_.kNone) return;
  candidates_ -= sessions_[index].items.size();
  sessions_[index].items.clear();
  place(index);
  if (!forget_history) return;
  Tenant& tenant = tenants_[sessions_[index].tenant];
  sessions_.remove(key);
  if (--tenant.sessions > 0) return;
  const TimePoint now = clock_->now();
  tenant.forget_at = std::max({now + kDormantTime, tenant.budget.full_at(now), tenant.back_off.forget_at()});
  dormant_.insert({tenant.forget_at, tenant.key});
}

// ---- values

double IdleScheduler::Impl::rate(const SessionQueue* session, const Tenant* tenant,
                                 AnticipationKind kind) const noexcept {
  const auto k = static_cast<std::size_t>(kind);
  const double tenant_rate = tenant ? tenant->rates[k].estimate(kPriorRate, kTenantPriorStrength) : kPriorRate;
  return session ? session->rates[k].estimate(tenant_rate, kSessionPriorStrength) : tenant_rate;
}

double IdleScheduler::Impl::worth(const IdleCandidate& candidate, const SessionQueue* session,
                                  const Tenant* tenant) const noexcept {
  const double p = lane_of(candidate) == kLogLane ? 1.0 : rate(session, tenant, candidate.kind);
  return p * candidate.weight * idle::saved_over_spent(candidate, costs_, options_.continuation_agreement);
}

double IdleScheduler::Impl::probability(SessionKey key, AnticipationKind kind) const {
  const std::uint32_t index = sessions_.find(key);
  if (index == sessions_.kNone) return rate(nullptr, nullptr, kind);
  return rate(&sessions_[index], &tenants_[sessions_[index].tenant], kind);
}

double IdleScheduler::Impl::value(const IdleCandidate& candidate) const {
  const std::uint32_t session = sessions_.find(candidate.session);
  const std::uint32_t tenant = tenants_.find(candidate.tenant);
  return worth(candidate, session == sessions_.kNone ? nullptr : &sessions_[session],
               tenant == tenants_.kNone ? nullptr : &tenants_[tenant]);
}

void IdleScheduler::Impl::revalue(std::uint32_t index) {
  SessionQueue& session = sessions_[index];
  const Tenant& tenant = tenants_[session.tenant];
  for (idle::Item& item : session.items) item.value = worth(item.candidate, &session, &tenant);
}

void IdleScheduler::Impl::refresh() {
  std::size_t revalued = 0;
  for (std::uint32_t i = 0; i < kRefreshSessions && refresh_left_ > 0 && revalued < kRefreshCandidates; ++i) {
    --refresh_left_;
    if (refresh_cursor_ >= sessions_.index_count()) refresh_cursor_ = 0;
    const std::uint32_t index = refresh_cursor_++;
    if (sessions_[index].items.empty()) continue;
    revalued += sessions_[index].items.size();
    revalue(index);
    place(index);
  }
}

// ---- places

TimePoint IdleScheduler::Impl::lane_due(const Tenant& tenant, Lane lane, TimePoint now) const noexcept {
  const TimePoint affordable = tenant.budget.affordable_at(now);
  return lane == kLogLane ? affordable : std::max(affordable, tenant.back_off.paused_until());
}

void IdleScheduler::Impl::place_lane(std::uint32_t index, Lane lane, TimePoint now) {
  const Tenant& tenant = tenants_[index];
  const std::uint32_t id = lane_id(index, lane);
  const idle::IndexedHeap<Rank>& heap = tenant.lanes[lane];
  const TimePoint due = lane_due(tenant, lane, now);
  if (heap.empty() || due > now) eligible_.erase(id);
  if (heap.empty() || due <= now) waiting_.erase(id);
  if (heap.empty()) return;
  if (due > now) {
    waiting_.put(id, {due, tenant.order * kLaneCount + lane});
  } else {
    eligible_.put(id, {heap.top_key().value, tenant.served[lane], tenant.order * kLaneCount + lane});
  }
}

void IdleScheduler::Impl::place_lanes(std::uint32_t tenant, TimePoint now) {
  place_lane(tenant, kLogLane, now);
  place_lane(tenant, kGuessLane, now);
}

void IdleScheduler::Impl::place(std::uint32_t index) {
  const SessionQueue& session = sessions_[index];
  Tenant& tenant = tenants_[session.tenant];
  for (const Lane lane : {kLogLane, kGuessLane}) {
    const std::size_t best = session.best(lane);
    if (best == SessionQueue::kNone) {
      tenant.lanes[lane].erase(index);
    } else {
      tenant.lanes[lane].put(index, {session.items[best].value, session.served, session.order});
    }
  }
  place_lanes(session.tenant, clock_->now());
}

void IdleScheduler::Impl::release_due(TimePoint now) {
  while (!waiting_.empty() && waiting_.top_key().at <= now) {
    const std::uint32_t id = waiting_.top();
    place_lane(id / kLaneCount, static_cast<Lane>(id % kLaneCount), now);
  }
}

// ---- the queue

void IdleScheduler::Impl::offer(const IdleCandidate& candidate) {
  const std::uint32_t index = known_session(candidate);
  SessionQueue& session = sessions_[index];
  std::size_t at = session.find(candidate.anticipation);
  if (at == SessionQueue::kNone) {
    at = session.items.size();
    session.items.emplace_back();
    ++candidates_;
  }
  idle::Item& item = session.items[at];
  item.candidate = candidate;
  item.value = worth(candidate, &session, &tenants_[session.tenant]);
  place(index);
}

void IdleScheduler::Impl::withdraw(SessionKey key, AnticipationId anticipation) {
  const std::uint32_t index = sessions_.find(key);
  if (index == sessions_.kNone) return;
  SessionQueue& session = sessions_[index];
  const std::size_t at = session.find(anticipation);
  if (at == SessionQueue::kNone) return;
  session.items.erase(session.items.begin() + static_cast<std::ptrdiff_t>(at));
  --candidates_;
  place(index);
}

std::optional<IdleCandidate> IdleScheduler::Impl::next() {
  const TimePoint now = clock_->now();
  forget_dormant(now);
  release_due(now);
  refresh();
  if (budget_.affordable_at(now) > now) return std::nullopt;
  for (int retry = 0; !eligible_.empty(); ++retry) {
    const std::uint32_t id = eligible_.top();
    const auto lane = static_cast<Lane>(id % kLaneCount);
    Tenant& tenant = tenants_[id / kLaneCount];
    const std::uint32_t index = tenant.lanes[lane].top();
    const double expected = tenant.lanes[lane].top_key().value;
    revalue(index);
    SessionQueue& session = sessions_[index];
    const std::size_t best = session.best(lane);
    if (session.items[best].value < expected && retry < kMaxRetries) {
      place(index);
      continue;
    }
    session.items[best].served = session.served = tenant.served[lane] = ++ticks_;
    const IdleCandidate chosen = session.items[best].candidate;
    place(index);
    return chosen;
  }
  return std::nullopt;
}

std::optional<TimePoint> IdleScheduler::Impl::retry_at() const {
  if (candidates_ == 0) return std::nullopt;
  const TimePoint now = clock_->now();
  const TimePoint lane_at = eligible_.empty() ? waiting_.top_key().at : now;
  return std::max(lane_at, budget_.affordable_at(now));
}

// ---- learning

void IdleScheduler::Impl::charge(TenantKey key, Duration spent) {
  const TimePoint now = clock_->now();
  budget_.charge(spent, now);
  const std::uint32_t index = tenants_.find(key);
  if (index == tenants_.kNone) return;
  tenants_[index].budget.charge(spent, now);
  place_lanes(index, now);
}

void IdleScheduler::Impl::learn_costs(std::int32_t prefilled_tokens, Duration prefill, std::int32_t decoded_tokens,
                                      Duration decode) {
  const bool prefill_changed = prefill_cost_.add(prefilled_tokens, prefill);
  const bool decode_changed = decode_cost_.add(decoded_tokens, decode);
  if (!prefill_changed && !decode_changed) return;
  costs_.prefill_us_per_token = prefill_cost_.value_us();
  costs_.decode_us_per_step = decode_cost_.value_us();
  refresh_left_ = sessions_.index_count();
}

void IdleScheduler::Impl::on_outcome(SessionKey session_key, TenantKey tenant_key, AnticipationKind kind, bool used,
                                     double weight) {
  const auto k = static_cast<std::size_t>(kind);
  const std::uint32_t tenant_index = tenants_.find(tenant_key);
  if (tenant_index == tenants_.kNone) return;
  const TimePoint now = clock_->now();
  Tenant& tenant = tenants_[tenant_index];
  tenant.rates[k].add(used, weight, kTenantMemory);
  const idle::BackOffRule rule{options_.min_hit_rate, options_.hit_rate_samples, options_.back_off};
  if (tenant.back_off.on_outcome(used, weight, rule, now)) place_lanes(tenant_index, now);
  refresh_left_ = sessions_.index_count();

  const std::uint32_t index = sessions_.find(session_key);
  if (index == sessions_.kNone || sessions_[index].tenant != tenant_index) return;  // closed since
  sessions_[index].rates[k].add(used, weight, kSessionMemory);
  revalue(index);
  place(index);
}

}  // namespace poise
