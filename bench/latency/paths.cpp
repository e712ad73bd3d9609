// Turns by path, with Poise on and off, on one executor in one process. Reads commands:
//
//   log CONTEXT                             two sessions (tenants `on` and `off`) over the same random log, both resident
//   case PATH ENTRY DELTA ANSWER TURN       one repetition of one path on both, in alternating order
//
// and answers each with one JSON line. Turns are ephemeral and every request is new, so that the context stays as
// long as it is and nothing but the log (and what Poise prepared behind it) is resident. The `off` session never
// pre-positions and its turns use no entries: plain prefix caching.
#include <chrono>
#include <cmath>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "commands.h"
#include "poise/error.h"
#include "timed_sink.h"
#include "world.h"

namespace poise::bench {
namespace {

struct CaseShape {
  std::string path;
  std::int32_t entry_tokens = 0;  ///< of the guess
  std::int32_t delta_tokens = 0;  ///< that the request adds beyond it
  std::int32_t answer_tokens = 0;
  std::int32_t repetition = 0;
};

class PathBench {
 public:
  explicit PathBench(Arguments& arguments)
      : rest_(std::chrono::milliseconds(arguments.integer("rest-ms", 5))),
        executor_(load_llama(arguments, 4, 8192 + 512)),
        manager_(executor_, ManagerOptions{}),
        ids_(executor_->info().vocab_size, 17) {
    arguments.check_all_used();
    describe(*executor_).print();
  }

  void set_log(std::int32_t context) {
    if (on_) {
      manager_.close(*on_);
      manager_.close(*off_);
    }
    context_ = context;
    const Tokens log = ids_.draw(context);
    on_ = open("on", log);
    off_ = open("off", log);
    settle(manager_);
    TimePoint asked_at{};
    // Whatever a first use costs is paid here; it also makes the `off` log resident.
    for (const SessionId& session : {*on_, *off_}) {
      run_turn(manager_, session, plain_turn(executor_->info(), ids_.draw(4), 2), asked_at);
    }
    JsonObject().add("log", log).print();
  }

  void run(const CaseShape& shape) {
    const bool cold = shape.path == "cold";
    const std::int32_t tokens = shape.entry_tokens + shape.delta_tokens + (cold ? context_ : 0);
    const Tokens request = ids_.draw(tokens);
    JsonObject on;
    JsonObject off;
    for (const bool first : {true, false}) {
      if (first == (shape.repetition % 2 == 0)) {
        on = measure(shape, request, true);
      } else {
        off = measure(shape, request, false);
      }
    }
    JsonObject()
        .add("path", shape.path)
        .add("context_tokens", context_)
        .add("entry_tokens", shape.entry_tokens)
        .add("delta_tokens", shape.delta_tokens)
        .add("answer_tokens", shape.answer_tokens)
        .add("on", on)
        .add("off", off)
        .add("request", request)
        .print();
  }

 private:
  SessionId open(const std::string& tenant, const Tokens& log) {
    OpenOptions options;
    options.tenant = tenant;
    options.tokens = log;
    options.preposition = tenant == "on";
    options.sampling.temperature = 0.0F;
    options.stop_tokens = {unlikely_stop(executor_->info())};
    return manager_.open(options);
  }

  JsonObject measure(const CaseShape& shape, const Tokens& request, bool on) {
    SessionId session = on ? *on_ : *off_;
    if (shape.path == "cold") {
      session = open(on ? "on" : "off", {});
    }
    std::optional<AnticipationId> guess;
    TurnRequest turn = plain_turn(executor_->info(), request, shape.answer_tokens);
    if (on && (shape.path == "ready" || shape.path == "gate" || shape.path == "entry")) {
      Anticipation anticipation;
      anticipation.kind = shape.path == "entry" ? AnticipationKind::turn : AnticipationKind::question;
      anticipation.decides = shape.path != "entry";
      anticipation.tokens.assign(request.begin(), request.begin() + shape.entry_tokens);
      guess = manager_.anticipate(session, anticipation);
      settle(manager_);
      if (shape.path == "gate") {
        const TokenId best = manager_.state(session).entries.at(0).top1;
        turn.gate = GateOptions{0.0F, {best, best == 3 ? 4 : 3}};
      }
    }
    turn.use_entries = on;
    settle(manager_);
    std::this_thread::sleep_for(rest_);

    TimePoint asked_at{};
    const auto done = run_turn(manager_, session, std::move(turn), asked_at);
    settle(manager_);
    if (guess) {
      manager_.retract(session, *guess);
    }
    if (shape.path == "cold") {
      manager_.close(session);
    }
    return report(*done, asked_at);
  }

  static JsonObject report(const TimedTurn& done, TimePoint asked_at) {
    std::vector<double> token_us;
    for (const TimePoint at : done.token_times) {
      token_us.push_back(to_us(at - asked_at));
    }
    const auto nth = [&](std::size_t n) { return n <= token_us.size() ? token_us[n - 1] : NAN; };
    JsonObject out;
    out.add("path", to_string(done.start.path))
        .add("reason", to_string(done.end.reason))
        .add("first_us", nth(1))
        .add("second_us", nth(2))
        .add("sixteenth_us", nth(16))
        .add("turn_us", to_us(done.ended_at - asked_at))
        .add("reported_first_us", to_us(done.end.first_token))
        .add("answer", done.end.answer)
        .add("prepositioned_tokens", done.start.prepositioned_tokens)
        .add("continuation_tokens", done.start.continuation_tokens)
        .add("reused_tokens", done.end.reused_tokens)
        .add("prefilled_tokens", done.end.prefilled_tokens)
        .add("reprefilled_tokens", done.end.reprefilled_tokens)
        .add("decoded_tokens", done.end.decoded_tokens);
    return out;
  }

  Duration rest_;
  std::shared_ptr<Executor> executor_;
  SessionManager manager_;
  TokenSource ids_;
  std::int32_t context_ = 0;
  std::optional<SessionId> on_, off_;
};

}  // namespace

int run_paths(Arguments& arguments) {
  PathBench bench(arguments);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "log") {
      std::int32_t context = 0;
      words >> context;
      bench.set_log(context);
    } else if (command == "case") {
      CaseShape shape;
      words >> shape.path >> shape.entry_tokens >> shape.delta_tokens >> shape.answer_tokens >> shape.repetition;
      bench.run(shape);
    } else {
      throw InvalidArgument("paths: the command '" + command + "' is unknown; use log or case");
    }
    if (!words) {
      throw InvalidArgument("paths: '" + line + "' lacks a number");
    }
  }
  return 0;
}

}  // namespace poise::bench
