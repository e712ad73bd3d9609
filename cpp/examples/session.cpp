// A session from C++, without Python: a stream of numbers comes in, and a registered question about it is answered
// before it is asked.
//
//   session MODEL.gguf [--question TEXT] [--other TEXT] [--max-new-tokens N]

#include <poise/error.h>
#include <poise/llama_executor.h>
#include <poise/session_manager.h>

#include <charconv>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

constexpr int kExitUsage = 2;
constexpr auto kPatience = std::chrono::seconds(60);

constexpr const char* kUsage =
    "usage: session MODEL.gguf [--question TEXT] [--other TEXT] [--max-new-tokens N]\n"
    "\n"
    "Feeds a stream of numbers into a session, asks a registered question after each change, then one that\n"
    "nobody announced, and prints how each first token was produced.\n"
    "\n"
    "  MODEL.gguf            any chat model that llama.cpp runs, for example engines/embedded/desk.gguf\n"
    "  --question TEXT       the registered question\n"
    "  --other TEXT          the question that nobody announced\n"
    "  --max-new-tokens N    length of an answer, at least 1 (default 32)\n";

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string model_path;
  std::string question = "Trend of the last 32 values, up or down?";
  std::string other = "Did the last 32 values go up or down? One word.";
  std::int32_t max_new_tokens = 32;
  bool help = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&]() -> std::string_view {
      if (++i == argc) throw UsageError(std::string(name) + " needs a value");
      return argv[i];
    };
    if (name == "--help" || name == "-h") {
      options.help = true;
    } else if (name == "--question") {
      options.question = value();
    } else if (name == "--other") {
      options.other = value();
    } else if (name == "--max-new-tokens") {
      const std::string_view text = value();
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), options.max_new_tokens);
      if (error != std::errc() || end != text.data() + text.size() || options.max_new_tokens < 1) {
        throw UsageError("--max-new-tokens is '" + std::string(text) + "', must be a whole number of at least 1");
      }
    } else if (name.starts_with("-")) {
      throw UsageError("unknown option " + std::string(name));
    } else if (options.model_path.empty()) {
      options.model_path = name;
    } else {
      throw UsageError("more than one model: '" + options.model_path + "' and '" + std::string(name) + "'");
    }
  }
  if (options.model_path.empty() && !options.help) throw UsageError("no model was named");
  return options;
}

/// How messages become ids: ChatML where the model's template speaks it, plain text otherwise.
class Chat {
 public:
  explicit Chat(std::shared_ptr<const poise::LlamaVocab> vocab)
      : vocab_(std::move(vocab)), chatml_(vocab_->chat_template().find("<|im_start|>") != std::string::npos) {}

  [[nodiscard]] poise::Tokens opening(const std::string& system) const {
    return ids(chatml_ ? "<|im_start|>system\n" + system + "<|im_end|>\n" : system + "\n\n", true);
  }
  [[nodiscard]] poise::Tokens data(const std::string& text) const {
    return ids(chatml_ ? "<|im_start|>user\n" + text + "<|im_end|>\n" : "Data: " + text + "\n", false);
  }
  /// Everything up to the decision point: the question and the assistant's header.
  [[nodiscard]] poise::Tokens question(const std::string& text) const {
    return ids(chatml_ ? "<|im_start|>user\n" + text + "<|im_end|>\n<|im_start|>assistant\n"
                       : "Question: " + text + "\nAnswer:",
               false);
  }
  [[nodiscard]] std::string text(poise::TokenId token) const {
    return vocab_->detokenize(poise::TokenSpan(&token, 1), false);
  }

 private:
  [[nodiscard]] poise::Tokens ids(const std::string& text, bool first) const {
    return vocab_->tokenize(text, first && vocab_->adds_bos(), true);
  }

  std::shared_ptr<const poise::LlamaVocab> vocab_;
  bool chatml_;
};

/// Waits for the end of a turn. Callbacks run on the executor's thread (`ready` answers: on the caller's, inside turn())
/// and must not block; printing a few bytes is quick enough here, a server would put them into a queue.
class Answer : public poise::TurnSink {
 public:
  explicit Answer(const Chat& chat) : chat_(chat) {}

  void on_start(const poise::TurnStart& start) override { path = start.path; }
  void on_token(const poise::TurnToken& token) override { text += chat_.text(token.token); }
  void on_end(const poise::TurnEnd& turn_end) override {
    const std::lock_guard lock(mutex_);
    end = turn_end;
    ended_ = true;
    changed_.notify_all();
  }

  /// Throws poise::ExecutorError if the turn failed.
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
    if (end.reason == poise::FinishReason::error) throw poise::ExecutorError(end.error);
  }

  // complete after wait()
  poise::Path path = poise::Path::cold;
  std::string text;
  poise::TurnEnd end;

 private:
  const Chat& chat_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

/// Shows an answer while it is generated.
class LiveAnswer final : public Answer {
 public:
  using Answer::Answer;
  void on_token(const poise::TurnToken& token) override {
    const std::size_t shown = text.size();
    Answer::on_token(token);
    std::fputs(text.c_str() + shown, stdout);
    std::fflush(stdout);
  }
};

class Program {
 public:
  explicit Program(const Options& options)
      : options_(options), executor_(load(options.model_path)), chat_(executor_->vocab()), manager_(executor_, {}) {}

  void run() {
    poise::OpenOptions open;
    open.tokens = chat_.opening(
        "You watch the load of a server. Every message brings new values. "
        "Asked about the trend, answer with one word: up or down.");
    open.sampling.temperature = 0.0F;
    session_ = manager_.open(open);

    poise::Anticipation question;
    question.kind = poise::AnticipationKind::question;
    question.source = poise::AnticipationSource::declared;
    question.tokens = chat_.question(options_.question);
    question.persistent = true;  // prepared again behind every append
    manager_.anticipate(session_, question);

    std::printf("%-36s %-7s %12s %10s %9s   %s\n", "request", "path", "first token", "prefilled", "decoded", "answer");
    std::printf("%-36s %-7s %12s %10s %9s\n", "", "", "us", "tokens", "tokens");
    feed(0, 64, +1.5);
    prepare();
    ask(options_.question, "registered question");
    feed(64, 40, -1.5);
    prepare();
    ask(options_.question, "the same behind new data");
    ask(options_.other, "a question nobody announced");
    ask(options_.question, "registered, without pre-positioning", false);
    stream(options_.other);
  }

 private:
  static std::shared_ptr<poise::LlamaExecutor> load(const std::string& path) {
    poise::LlamaOptions options;
    options.model_path = path;
    auto executor = std::make_shared<poise::LlamaExecutor>(options);
    std::printf("%s\n%s\n\n", executor->info().model_name.c_str(), executor->info().memory_plan.c_str());
    return executor;
  }

  /// Appends `count` values that drift by `slope` a value, eight a message.
  void feed(int first, int count, double slope) {
    std::string message;
    for (int i = first; i < first + count; ++i) {
      level_ += slope + 2.0 * std::sin(7.0 * i);
      char value[32];
      std::snprintf(value, sizeof value, "%.1f", level_);
      message += message.empty() ? value : std::string(" ") + value;
      if (i % 8 == 7) {
        manager_.append(session_, chat_.data(message));
        message.clear();
      }
    }
  }

  /// Think time: the executor is idle, and pre-positioning happens.
  void prepare() {
    if (!manager_.wait_prepositioned(kPatience)) {
      throw poise::ExecutorError("not pre-positioned within 60 s; use a smaller model");
    }
  }

  void ask(const std::string& question, const char* what, bool use_entries = true) {
    poise::TurnRequest request = request_for(question);
    request.durable = false;  // commits nothing: the stream goes on as if nobody had asked
    request.use_entries = use_entries;
    const auto answer = std::make_shared<Answer>(chat_);
    manager_.turn(session_, request, answer);
    answer->wait();
    std::printf("%-36s %-7s %12.0f %10d %9d   %s\n", what, poise::to_string(answer->path),
                poise::to_ms(answer->end.first_token) * 1e3, answer->end.prefilled_tokens, answer->end.decoded_tokens,
                answer->text.c_str());
  }

  /// A durable turn: question and answer join the log.
  void stream(const std::string& question) {
    std::printf("\n%s\n> ", question.c_str());
    const auto answer = std::make_shared<LiveAnswer>(chat_);
    manager_.turn(session_, request_for(question), answer);
    answer->wait();
    const poise::SessionState state = manager_.state(session_);
    std::printf("\n(%s; the log is at version %llu and holds %zu tokens)\n", poise::to_string(answer->end.reason),
                static_cast<unsigned long long>(state.data_version), state.log.size());
  }

  [[nodiscard]] poise::TurnRequest request_for(const std::string& question) const {
    poise::TurnRequest request;
    request.tokens = chat_.question(question);
    request.max_new_tokens = options_.max_new_tokens;
    request.sampling.temperature = 0.0F;
    return request;
  }

  const Options& options_;
  std::shared_ptr<poise::LlamaExecutor> executor_;
  Chat chat_;
  poise::SessionManager manager_;
  poise::SessionId session_;
  double level_ = 300.0;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    if (options.help) {
      std::fputs(kUsage, stdout);
      return 0;
    }
    Program(options).run();
    return 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "session: %s\n\n%s", error.what(), kUsage);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "session: %s\n", error.what());
  }
  return kExitUsage;
}
