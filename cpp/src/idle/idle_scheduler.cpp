#include "poise/idle_scheduler.h"

#include <cmath>
#include <utility>

#include "common/format.h"
#include "idle/idle_scheduler_impl.h"
#include "poise/error.h"

namespace poise {
namespace {

void require(bool holds, const char* field, double value, const char* range) {
  if (!holds) throw InvalidArgument(text("idle.", field, " is ", value, ", must be ", range));
}

void require_not_negative(const char* field, std::int32_t tokens) { require(tokens >= 0, field, tokens, "at least 0"); }

IdleOptions checked(const IdleOptions& options) {
  const auto share = [](double value) { return value > 0.0 && value <= 1.0; };
  require(share(options.max_time_share), "max_time_share", options.max_time_share,
          "in (0, 1]; to spend nothing, turn pre-positioning off");
  require(share(options.max_tenant_time_share), "max_tenant_time_share", options.max_tenant_time_share,
          "in (0, 1]; to spend nothing, turn pre-positioning off");
  require(options.budget_window.count() >= 0, "budget_window (ms)", to_ms(options.budget_window),
          "at least 0; 0 saves nothing up");
  require(options.min_hit_rate >= 0.0 && options.min_hit_rate <= 1.0, "min_hit_rate", options.min_hit_rate,
          "in [0, 1]; 0 never backs off");
  require(options.hit_rate_samples >= 1, "hit_rate_samples", options.hit_rate_samples, "at least 1");
  require(options.back_off.count() > 0 && options.back_off <= std::chrono::hours(24), "back_off (ms)",
          to_ms(options.back_off), "above 0 and at most a day");
  require(share(options.continuation_agreement), "continuation_agreement", options.continuation_agreement, "in (0, 1]");
  return options;
}

void check(const IdleCandidate& candidate) {
  require_not_negative("prefill_tokens", candidate.prefill_tokens);
  require_not_negative("completion_tokens", candidate.completion_tokens);
  require_not_negative("decode_tokens", candidate.decode_tokens);
  require_not_negative("decoded_tokens", candidate.decoded_tokens);
  require(candidate.weight >= 0.0 && candidate.weight <= 1.0, "weight", candidate.weight, "in [0, 1]");
}

bool worthless(const IdleCandidate& candidate) {
  return candidate.weight == 0.0 ||
         (candidate.prefill_tokens == 0 && candidate.completion_tokens == 0 && candidate.decode_tokens == 0);
}

std::shared_ptr<const Clock> or_steady(std::shared_ptr<const Clock> clock) {
  return clock ? std::move(clock) : std::make_shared<SteadyClock>();
}

}  // namespace

IdleScheduler::IdleScheduler(const IdleOptions& options, std::shared_ptr<const Clock> clock)
    : impl_(std::make_unique<Impl>(checked(options), or_steady(std::move(clock)))) {}

IdleScheduler::~IdleScheduler() = default;

void IdleScheduler::offer(const IdleCandidate& candidate) {
  check(candidate);
  if (worthless(candidate)) {
    impl_->withdraw(candidate.session, candidate.anticipation);
  } else {
    impl_->offer(candidate);
  }
}

void IdleScheduler::withdraw(SessionKey session, AnticipationId anticipation) {
  impl_->withdraw(session, anticipation);
}

void IdleScheduler::withdraw_session(SessionKey session, bool forget_history) {
  impl_->withdraw_session(session, forget_history);
}

std::optional<IdleCandidate> IdleScheduler::next() { return impl_->next(); }

std::optional<TimePoint> IdleScheduler::retry_at() const { return impl_->retry_at(); }

void IdleScheduler::on_work(TenantKey tenant, std::int32_t prefilled_tokens, Duration prefill,
                            std::int32_t decoded_tokens, Duration decode) {
  impl_->learn_costs(prefilled_tokens, prefill, decoded_tokens, decode);
  impl_->charge(tenant, prefill + decode);
}

void IdleScheduler::on_request_work(std::int32_t prefilled_tokens, Duration prefill, std::int32_t decoded_tokens,
                                    Duration decode) {
  impl_->learn_costs(prefilled_tokens, prefill, decoded_tokens, decode);
}

void IdleScheduler::on_outcome(SessionKey session, TenantKey tenant, AnticipationKind kind, EntryOutcome outcome,
                               double weight) {
  require(weight >= 0.0 && weight <= 1.0, "weight", weight, "in [0, 1]");
  if (outcome != EntryOutcome::used && outcome != EntryOutcome::stale) return;
  impl_->on_outcome(session, tenant, kind, outcome == EntryOutcome::used, weight);
}

double IdleScheduler::probability(SessionKey session, AnticipationKind kind) const {
  return impl_->probability(session, kind);
}

double IdleScheduler::value(const IdleCandidate& candidate) const { return impl_->value(candidate); }

const CostModel& IdleScheduler::costs() const noexcept { return impl_->costs(); }

std::size_t IdleScheduler::size() const noexcept { return impl_->size(); }

std::size_t IdleScheduler::sessions_known() const noexcept { return impl_->sessions_known(); }

std::size_t IdleScheduler::tenants_known() const noexcept { return impl_->tenants_known(); }

}  // namespace poise
