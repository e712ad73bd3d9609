// Throughput of a closed loop: every client sends its next turn as soon as the last has ended. Blocks with idle work
// on and off alternate. Requests never hit a guess, so that all that idle work could do is stand in the way.
#include "clients.h"
#include "commands.h"

namespace poise::bench {

int run_saturation(Arguments& arguments) {
  ClientShape shape;
  shape.sessions = arguments.integer("sessions", 8);
  shape.log_tokens = arguments.integer("log", 512);
  shape.request_tokens = arguments.integer("request", 16);
  shape.answer_tokens = arguments.integer("answer", 32);
  shape.guesses = arguments.integer("guesses", 4);
  shape.hit_share = 0.0;
  shape.durable = false;
  const double seconds = arguments.number("seconds", 3.0);
  const std::int32_t blocks = arguments.integer("blocks", 5);
  const auto executor = load_llama(arguments, shape.sessions, 1024);
  arguments.check_all_used();
  SessionManager manager(executor, ManagerOptions{});
  JsonObject().add("executor", describe(*executor)).add("sessions", shape.sessions).print();

  for (std::int32_t pair = 0; pair < blocks; ++pair) {
    for (const bool first : {true, false}) {
      const bool on = first == (pair % 2 == 0);
      wait_until_quiet(*executor);
      Clients clients(manager, shape, on, static_cast<std::uint64_t>(pair) + 41);
      for (auto client = clients.pick_free(); client; client = clients.pick_free()) {
        clients.send(*client, now());
      }
      std::int32_t turns = 0;
      const auto run_for = [&](double span_s) {
        const TimePoint until = now() + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(span_s));
        while (now() < until) {
          if (const auto done = clients.take_ended(until)) {
            ++turns;
            clients.send(done->client, now());
          }
        }
      };
      run_for(seconds / 10.0);
      turns = 0;
      const ExecutorStats before = executor->stats();
      const TimePoint begin = now();
      run_for(seconds);
      const double span_us = to_us(now() - begin);
      const ExecutorStats after = executor->stats();
      JsonObject()
          .add("mode", on ? "on" : "off")
          .add("pair", pair)
          .add("turns", turns)
          .add("seconds", span_us / 1e6)
          .add("decoded_tokens", after.decoded_tokens - before.decoded_tokens)
          .add("prefilled_tokens", after.prefilled_tokens - before.prefilled_tokens)
          .add("idle_steps", after.idle_steps - before.idle_steps)
          .add("steps", after.steps - before.steps)
          .add("busy_us", to_us(after.busy - before.busy))
          .print();
    }
  }
  return 0;
}

}  // namespace poise::bench
