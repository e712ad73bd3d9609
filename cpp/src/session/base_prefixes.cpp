// Base prefixes: declared beginnings that are prefilled once a tenant. Each is a hidden session, so that its KV is kept,
// parked and prefilled in idle time like any other; a new session's KV starts as a copy of it where the executor finds
// that cheaper than prefilling.
#include <algorithm>

#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

void SessionManager::Impl::check_base_prefix(const OpenOptions& opened, std::size_t tokens, TenantKey tenant) const {
  if (!opened.base_prefix) return;
  if (tokens == 0) throw InvalidArgument("open: a base prefix has no tokens; it needs those that sessions begin with");
  const auto found = base_prefixes.find(tenant);
  const std::size_t declared = found == base_prefixes.end() ? 0 : found->second.size();
  if (declared >= options.max_base_prefixes_per_tenant) {
    throw ResourceExhausted("open: tenant '" + opened.tenant + "' has declared " + std::to_string(declared) +
                            " base prefixes, the limit (max_base_prefixes_per_tenant); retract one first");
  }
}

void SessionManager::Impl::enlist(const std::shared_ptr<Session>& session) {
  if (session->options.base_prefix) {
    base_prefixes[session->tenant_key].push_back(session);
    ++counters.base_prefixes;
  } else {
    ++tenant_sessions[session->tenant_key];
    ++counters.sessions_open;
  }
}

void SessionManager::Impl::delist(const std::shared_ptr<Session>& session) {
  if (session->options.base_prefix) {
    std::erase(base_prefixes[session->tenant_key], session);
    --counters.base_prefixes;
  } else {
    --tenant_sessions[session->tenant_key];
    --counters.sessions_open;
  }
}

/// The base prefix that the context begins with for longest; null if none.
std::shared_ptr<Session> SessionManager::Impl::base_of(const Session& session, TokenSpan context) const {
  std::shared_ptr<Session> best;
  std::size_t most = 0;
  const auto found = base_prefixes.find(session.tenant_key);
  if (found == base_prefixes.end() || session.options.base_prefix) return best;
  for (const auto& base : found->second) {
    const std::size_t common = base->kv == session.kv ? common_prefix(base->log, context) : 0;
    if (common > most) {
      best = base;
      most = common;
    }
  }
  return best;
}

Position SessionManager::Impl::base_tokens(const Session& session, TokenSpan context) const {
  const auto base = base_of(session, context);
  if (!base) return 0;
  const Position resident = executor->resident_prefix(base->log, base->kv, base->owner);
  return std::min(resident, static_cast<Position>(common_prefix(base->log, context)));
}

void SessionManager::Impl::note_start(Session& session, TokenSpan context, const Completion& done) {
  if (session.kv_started || done.reused_tokens + done.prefilled_tokens == 0) return;
  session.kv_started = true;
  const auto base = base_of(session, context);
  if (!base) return;
  const auto saved = std::min<std::size_t>(common_prefix(base->log, context),
                                           static_cast<std::size_t>(std::max(0, done.reused_tokens)));
  if (saved == 0) return;
  const ExecutorStats stats = executor->stats();
  const bool copied = done.copied_tokens > 0;
  const double cost_us = copied ? stats.copy_us : 0.0;
  const double saved_us = std::max(0.0, stats.prefill_us_per_token * static_cast<double>(saved) - cost_us);
  PrefixUse& use = base->prefix_use;
  ++use.sessions_started;
  use.tokens_saved += saved;
  use.time_saved += std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::micro>(saved_us));
  // An executor that does not tell a cost leaves it out of the sum.
  use.estimated = use.estimated || stats.prefill_us_per_token == 0.0 || (copied && stats.copy_us == 0.0);
  ++counters.prefix_sessions_started;
  counters.prefix_tokens_saved += saved;
}

}  // namespace poise
