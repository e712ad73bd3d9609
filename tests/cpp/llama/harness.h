// What the LlamaExecutor's tests share: tiny models, a sink that records, requests in one line.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "poise/llama_executor.h"

namespace poise::test {

/// Path of a tiny model: "llama", "gemma2" or "mamba".
[[nodiscard]] std::string tiny_model(const std::string& architecture);

/// The bytes of a file.
[[nodiscard]] std::string contents(const std::string& path);

/// A file with these bytes, gone with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& data);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// Small, deterministic options: one thread, debug checks on.
[[nodiscard]] LlamaOptions tiny_options(std::int32_t sequences = 4, const std::string& architecture = "llama");

/// Records everything that a request returns, and checks the order of its calls.
class Recorder final : public Sink {
 public:
  void on_start(RequestId id, std::int32_t reused_tokens) override;
  void on_logits(RequestId id, const LogitsView& logits) override;
  void on_token(RequestId id, const GeneratedToken& token) override;
  void on_finish(RequestId id, const Completion& completion) override;

  /// Waits for the end; fails the test after 60 s.
  const Completion& wait();
  [[nodiscard]] bool finished() const;
  /// Waits until `count` tokens have come; fails the test after 60 s.
  void wait_tokens(std::size_t count);

  // Read after wait().
  struct Row {
    Position position;
    std::vector<float> logits;
  };
  Tokens tokens;
  std::vector<GeneratedToken> generated;
  std::vector<Row> rows;
  Completion completion;
  std::string misuse;  ///< the first call out of order

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  bool finished_ = false;
};

/// `count` ids in [3, 259), the same for the same seed.
[[nodiscard]] Tokens some_tokens(std::size_t count, std::uint32_t seed = 1);
[[nodiscard]] Tokens joined(Tokens first, const Tokens& second);

/// A greedy request.
[[nodiscard]] Request greedy(Tokens context, std::int32_t max_new_tokens, OwnerId owner = kNoOwner,
                             std::uint64_t tenant = 0);

/// Enqueues.
[[nodiscard]] std::shared_ptr<Recorder> start(Executor& executor, Request request);
/// Enqueues and waits; checks that the request did not end in an error.
[[nodiscard]] std::shared_ptr<Recorder> run(Executor& executor, Request request);

/// The greedy answer of a fresh executor: what any reuse must reproduce.
[[nodiscard]] Tokens reference_answer(const Tokens& context, std::int32_t max_new_tokens,
                                      const std::string& architecture = "llama");
/// The row behind the whole context, from a fresh executor.
[[nodiscard]] std::vector<float> reference_row(const Tokens& context, const std::string& architecture = "llama");

/// Largest absolute difference of two rows.
[[nodiscard]] float distance(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace poise::test
