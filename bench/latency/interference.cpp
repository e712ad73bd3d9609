// First tokens under Poisson arrivals, with idle work on and off, in alternating blocks of one process. One JSON line
// for the set-up, then one a block. Arrival times of a pair of blocks are equal. Guesses are so many that preparing
// them takes longer than clients think: idle work always runs when a request arrives.
#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

#include "clients.h"
#include "commands.h"
#include "poise/error.h"

namespace poise::bench {
namespace {

/// Durations of idle steps of the executor's own quantum behind `context` tokens, microseconds.
std::vector<double> probe_idle_steps(Executor& executor, std::int32_t context, TokenSource& ids, std::int32_t count) {
  constexpr OwnerId kProbe = 1'000'000'007;  // no session of the manager has it
  std::vector<double> steps;
  Tokens tokens = ids.draw(context);
  for (std::int32_t i = -2; i < count; ++i) {
    tokens.resize(static_cast<std::size_t>(context));
    const Tokens more = ids.draw(executor.info().idle_quantum_tokens);
    tokens.insert(tokens.end(), more.begin(), more.end());
    Request request;
    request.context = tokens;
    request.priority = 0.25F;
    request.owner = kProbe;
    request.retention.push_back({0, -1, 90, std::nullopt});
    const auto sink = std::make_shared<TimedRequest>(0);
    executor.enqueue(std::move(request), sink);
    sink->wait();
    if (i >= 0) {
      steps.push_back(to_us(sink->completion.prefill));
    }
  }
  executor.release(kProbe, 0);
  return steps;
}

struct Block {
  std::vector<double> first_us, turn_us;
  std::array<std::int32_t, kPathCount> paths{};
  std::int32_t queued = 0;  ///< arrivals that found no free client
};

Block run_block(SessionManager& manager, const ClientShape& shape, bool on, const std::vector<double>& arrivals_s,
                std::size_t warm_up, std::uint64_t seed) {
  Clients clients(manager, shape, on, seed);
  Block block;
  const TimePoint begin = now();
  std::deque<TimePoint> waiting;
  std::size_t next = 0;
  std::size_t ended = 0;
  const auto arrival = [&](std::size_t i) {
    return begin + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arrivals_s[i]));
  };
  while (ended < arrivals_s.size()) {
    const TimePoint until = next < arrivals_s.size() ? arrival(next) : now() + std::chrono::seconds(60);
    if (const auto done = clients.take_ended(until)) {
      if (ended++ >= warm_up) {
        block.first_us.push_back(to_us(done->result->token_times.at(0) - done->wanted_at));
        block.turn_us.push_back(to_us(done->result->ended_at - done->wanted_at));
        ++block.paths[static_cast<std::size_t>(done->result->start.path)];
      }
    }
    while (next < arrivals_s.size() && arrival(next) <= now()) {
      waiting.push_back(arrival(next++));
      block.queued += clients.pick_free() ? 0 : 1;
    }
    while (!waiting.empty()) {
      const auto client = clients.pick_free();
      if (!client) {
        break;
      }
      clients.send(*client, waiting.front());
      waiting.pop_front();
    }
  }
  return block;
}

double mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) {
    sum += value;
  }
  return sum / static_cast<double>(values.size());
}

}  // namespace

int run_interference(Arguments& arguments) {
  ClientShape shape;
  shape.sessions = arguments.integer("sessions", 4);
  shape.log_tokens = arguments.integer("log", 512);
  shape.request_tokens = arguments.integer("request", 32);
  shape.answer_tokens = arguments.integer("answer", 16);
  shape.hit_share = arguments.number("hits", 0.5);
  const double load = arguments.number("load", 0.2);
  const std::int32_t requests = arguments.integer("requests", 100);
  const std::int32_t blocks = arguments.integer("blocks", 3);
  const auto executor = load_llama(arguments, shape.sessions + 2, 4096);
  arguments.check_all_used();
  SessionManager manager(executor, ManagerOptions{});
  TokenSource ids(executor->info().vocab_size, 31);

  // What one turn and one preparation cost alone.
  std::vector<double> service_us;
  std::vector<double> preparation_us;
  {
    OpenOptions options;
    options.tokens = ids.draw(shape.log_tokens);
    options.continuation_tokens = shape.answer_tokens;
    options.sampling.temperature = 0.0F;
    options.stop_tokens = {unlikely_stop(executor->info())};
    const SessionId session = manager.open(options);
    settle(manager);
    for (std::int32_t i = -2; i < 10; ++i) {
      TurnRequest request = plain_turn(executor->info(), ids.draw(shape.request_tokens), shape.answer_tokens);
      request.use_entries = false;
      TimePoint begin{};
      const auto turn = run_turn(manager, session, std::move(request), begin);
      settle(manager);
      const TimePoint prepare_at = now();
      Anticipation guess;
      guess.tokens = ids.draw(shape.request_tokens);
      const AnticipationId id = manager.anticipate(session, guess);
      settle(manager);
      if (i >= 0) {
        service_us.push_back(to_us(turn->ended_at - begin));
        preparation_us.push_back(to_us(now() - prepare_at));
      }
      manager.retract(session, id);
    }
    manager.close(session);
  }
  const double service_s = mean(service_us) / 1e6;
  const double rate = load / service_s;  // arrivals a second
  const double preparation_s = mean(preparation_us) / 1e6;
  shape.guesses = std::clamp(static_cast<std::int32_t>(std::ceil(1.5 * (1.0 - load) / (rate * preparation_s))), 2, 32);
  const double think_s = std::max(0.0, shape.sessions / rate - service_s);
  JsonObject()
      .add("executor", describe(*executor))
      .add("load", load)
      .add("hits", shape.hit_share)
      .add("sessions", shape.sessions)
      .add("guesses", shape.guesses)
      .add("service_us", service_us)
      .add("preparation_us", preparation_us)
      .add("think_ms", think_s * 1e3)
      .add("preparation_of_all_guesses_ms", preparation_s * shape.guesses * shape.sessions * 1e3)
      .add("arrivals_per_s", rate)
      .add("idle_step_us", probe_idle_steps(*executor, shape.log_tokens, ids, 30))
      .print();

  for (std::int32_t pair = 0; pair < blocks; ++pair) {
    std::mt19937_64 random(static_cast<std::uint64_t>(pair) + 101);
    std::exponential_distribution<double> gap(rate);
    std::vector<double> arrivals_s;
    double at = 0.0;
    const std::size_t warm_up = static_cast<std::size_t>(shape.sessions);
    for (std::size_t i = 0; i < static_cast<std::size_t>(requests) + warm_up; ++i) {
      arrivals_s.push_back(at += gap(random));
    }
    for (const bool first : {true, false}) {
      const bool on = first == (pair % 2 == 0);
      wait_until_quiet(*executor);  // the last block's sessions are closed, their idle step may still run
      const ExecutorStats before = executor->stats();
      const Block block = run_block(manager, shape, on, arrivals_s, warm_up, static_cast<std::uint64_t>(pair) + 7);
      const ExecutorStats after = executor->stats();
      JsonObject paths;
      for (std::size_t path = 0; path < kPathCount; ++path) {
        paths.add(to_string(static_cast<Path>(path)), block.paths[path]);
      }
      JsonObject()
          .add("mode", on ? "on" : "off")
          .add("pair", pair)
          .add("first_us", block.first_us)
          .add("turn_us", block.turn_us)
          .add("paths", paths)
          .add("queued", block.queued)
          .add("steps", after.steps - before.steps)
          .add("idle_steps", after.idle_steps - before.idle_steps)
          .add("idle_tokens", after.idle_prefilled_tokens + after.idle_decoded_tokens - before.idle_prefilled_tokens -
                                  before.idle_decoded_tokens)
          .add("interrupted_steps", after.interrupted_steps - before.interrupted_steps)
          .add("busy_us", to_us(after.busy - before.busy))
          .add("idle_busy_us", to_us(after.idle_busy - before.idle_busy))
          .add("span_s", arrivals_s.back())
          .print();
    }
  }
  return 0;
}

}  // namespace poise::bench
