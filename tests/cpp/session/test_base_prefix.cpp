// A session that begins with a declared prefix: its first turn prefills what is new, and nothing else.
#include <doctest/doctest.h>

#include <numeric>

#include "poise/session_manager.h"
#include "poise/sim_executor.h"

using namespace poise;

namespace {

class Collected final : public TurnSink {
 public:
  void on_start(const TurnStart& told) override { start = told; }
  void on_token(const TurnToken& token) override { tokens.push_back(token.token); }
  void on_end(const TurnEnd& told) override { end = told; }
  TurnStart start;
  Tokens tokens;
  TurnEnd end;
};

struct World {
  std::shared_ptr<FakeClock> clock = std::make_shared<FakeClock>();
  std::shared_ptr<SimExecutor> executor = std::make_shared<SimExecutor>(SimOptions{}, clock);
  SessionManager manager{executor, options(), nullptr, clock};

  static ManagerOptions options() {
    ManagerOptions options;
    options.idle_thread = false;
    options.seed = 1;
    return options;
  }
  SessionId open(const Tokens& tokens, const std::string& tenant, bool base, bool preposition = true) {
    OpenOptions opened;
    opened.tokens = tokens;
    opened.tenant = tenant;
    opened.base_prefix = base;
    opened.preposition = preposition;
    return manager.open(opened);
  }
  void idle() {
    while (manager.run_idle()) {
      executor->run_until_idle();
    }
  }
  Collected ask(const SessionId& session, const Tokens& tokens) {
    const auto sink = std::make_shared<Collected>();
    TurnRequest request;
    request.tokens = tokens;
    request.max_new_tokens = 4;
    request.sampling.temperature = 0.0F;
    manager.turn(session, request, sink);
    executor->run_until_idle();
    return *sink;
  }
};

Tokens prefix_tokens() {
  Tokens tokens(300);
  std::iota(tokens.begin(), tokens.end(), 100);
  return tokens;
}

}  // namespace

TEST_CASE("a first turn behind a declared prefix prefills what is new") {
  for (const bool ahead : {true, false}) {
    CAPTURE(ahead);
    World world;
    const SessionId base = world.open(prefix_tokens(), "acme", true);
    world.idle();
    CHECK(world.manager.state(base).resident_tokens == 300);
    const auto before = world.executor->stats();
    const SessionId session = world.open(prefix_tokens(), "acme", false, ahead);
    world.idle();
    // copied ahead in one piece, if idle time may be spent on the session; else by its first turn
    CHECK(world.executor->stats().copies - before.copies == (ahead ? 1 : 0));
    CHECK(world.executor->stats().idle_prefilled_tokens == before.idle_prefilled_tokens);
    const Collected answer = world.ask(session, {7, 8, 9});
    CHECK(answer.start.path == Path::prefix);
    CHECK(answer.end.prefilled_tokens == 3);
    CHECK(answer.end.reused_tokens == 300);
    CHECK(world.executor->stats().copies - before.copies == 1);
    const PrefixUse use = world.manager.state(base).prefix_use;
    CHECK(use.sessions_started == 1);
    CHECK(use.tokens_saved == 300);
    CHECK(use.time_saved == 300 * SimOptions{}.prefill_per_token);

    World cold;
    const Collected same = cold.ask(cold.open(prefix_tokens(), "acme", false, false), {7, 8, 9});
    CHECK(same.start.path == Path::cold);
    CHECK(same.tokens == answer.tokens);
  }
}

TEST_CASE("another tenant, another adapter and another text salt start cold") {
  World world;
  world.open(prefix_tokens(), "acme", true);
  world.idle();
  OpenOptions tenant, adapter, salt;
  tenant.tenant = "other";
  adapter.tenant = salt.tenant = "acme";
  adapter.adapter_id = 1;
  adapter.adapter_scale = 1.0F;
  salt.text_salt = 5;
  for (OpenOptions opened : {tenant, adapter, salt}) {
    opened.tokens = prefix_tokens();
    opened.preposition = false;
    const Collected answer = world.ask(world.manager.open(opened), {7});
    CHECK(answer.start.path == Path::cold);
    CHECK(answer.end.reused_tokens == 0);
  }
  CHECK(world.manager.counters().prefix_sessions_started == 0);
}
