#include "llama/harness.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

namespace poise::test {
namespace {

constexpr std::chrono::seconds kPatience{60};

}  // namespace

std::string tiny_model(const std::string& architecture) {
  return std::string(POISE_TINY_MODELS) + "/" + architecture + ".gguf";
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TemporaryFile::TemporaryFile(const std::string& data)
    : path_(
          (std::filesystem::temp_directory_path() / ("poise-test-" + std::to_string(std::random_device{}()) + ".gguf"))
              .string()) {
  std::ofstream(path_, std::ios::binary) << data;
}

TemporaryFile::~TemporaryFile() { std::filesystem::remove(path_); }

LlamaOptions tiny_options(std::int32_t sequences, const std::string& architecture) {
  LlamaOptions options;
  options.model_path = tiny_model(architecture);
  options.max_sequences = sequences;
  options.context_tokens = 512;
  options.threads = 1;
  options.batch_tokens = 64;
  options.layout = KvLayout::streams;
  options.debug_checks = true;
  return options;
}

void Recorder::on_start(RequestId /*id*/, std::int32_t /*reused_tokens*/) {
  const std::lock_guard lock(mutex_);
  if (started_ || finished_) {
    misuse = misuse.empty() ? "on_start came late or twice" : misuse;
  }
  started_ = true;
}

void Recorder::on_logits(RequestId /*id*/, const LogitsView& logits) {
  const std::lock_guard lock(mutex_);
  if (!started_ || finished_) {
    misuse = misuse.empty() ? "on_logits outside the request's life" : misuse;
  }
  rows.push_back({logits.position, {logits.row.begin(), logits.row.end()}});
}

void Recorder::on_token(RequestId /*id*/, const GeneratedToken& token) {
  const std::lock_guard lock(mutex_);
  if (!started_ || finished_) {
    misuse = misuse.empty() ? "on_token outside the request's life" : misuse;
  }
  tokens.push_back(token.token);
  generated.push_back(token);
  changed_.notify_all();
}

void Recorder::on_finish(RequestId /*id*/, const Completion& ended) {
  const std::lock_guard lock(mutex_);
  if (finished_) {
    misuse = misuse.empty() ? "on_finish came twice" : misuse;
  }
  finished_ = true;
  completion = ended;
  changed_.notify_all();
}

const Completion& Recorder::wait() {
  std::unique_lock lock(mutex_);
  REQUIRE_MESSAGE(changed_.wait_for(lock, kPatience, [this] { return finished_; }), "the request did not end");
  CHECK(misuse == "");
  return completion;
}

bool Recorder::finished() const {
  const std::lock_guard lock(mutex_);
  return finished_;
}

void Recorder::wait_tokens(std::size_t count) {
  std::unique_lock lock(mutex_);
  REQUIRE_MESSAGE(changed_.wait_for(lock, kPatience, [&] { return tokens.size() >= count || finished_; }),
                  "the tokens did not come");
}

Tokens some_tokens(std::size_t count, std::uint32_t seed) {
  std::mt19937 engine(seed);
  Tokens tokens(count);
  std::generate(tokens.begin(), tokens.end(), [&] { return static_cast<TokenId>(3 + engine() % 256); });
  return tokens;
}

Tokens joined(Tokens first, const Tokens& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Request greedy(Tokens context, std::int32_t max_new_tokens, OwnerId owner, std::uint64_t tenant) {
  Request request;
  request.context = std::move(context);
  request.max_new_tokens = max_new_tokens;
  request.sampling.temperature = 0.0F;
  request.owner = owner;
  request.key.tenant_salt = tenant;
  return request;
}

std::shared_ptr<Recorder> start(Executor& executor, Request request) {
  auto recorder = std::make_shared<Recorder>();
  executor.enqueue(std::move(request), recorder);
  return recorder;
}

std::shared_ptr<Recorder> run(Executor& executor, Request request) {
  auto recorder = start(executor, std::move(request));
  recorder->wait();
  CHECK(recorder->completion.error == "");
  return recorder;
}

Tokens reference_answer(const Tokens& context, std::int32_t max_new_tokens, const std::string& architecture) {
  LlamaExecutor executor(tiny_options(1, architecture));
  return run(executor, greedy(context, max_new_tokens))->tokens;
}

std::vector<float> reference_row(const Tokens& context, const std::string& architecture) {
  LlamaExecutor executor(tiny_options(1, architecture));
  Request request = greedy(context, 0);
  request.logits.context_positions = {static_cast<Position>(context.size()) - 1};
  return run(executor, std::move(request))->rows.at(0).logits;
}

float distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float largest = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

}  // namespace poise::test
