// Model files: good ones and their facts, bad ones and what is said about them.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "llama/harness.h"
#include "poise/error.h"

using namespace poise;
using namespace poise::test;

namespace {

std::string refusal(const std::string& path) {
  LlamaOptions options = tiny_options();
  options.model_path = path;
  try {
    const LlamaExecutor executor(options);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "it was loaded";
}

std::string refusal_of(const std::string& data) { return refusal(TemporaryFile(data).path()); }

bool says(const std::string& message, const char* part) { return message.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("facts of a good file") {
  const LlamaExecutor executor(tiny_options());
  const ExecutorInfo& info = executor.info();
  CHECK(info.name == "llama");
  CHECK(info.model_name == "tiny llama");
  CHECK(info.vocab_size == 300);
  CHECK(std::count(info.end_tokens.begin(), info.end_tokens.end(), 260) == 1);
  CHECK(std::count(info.end_tokens.begin(), info.end_tokens.end(), 259) == 0);
  CHECK(info.max_context_tokens == 512);
  CHECK(info.idle_quantum_tokens >= 1);
  CHECK(info.kv_bytes_per_token == 2 * 2 * 2 * (16 + 16));  // bytes x layers x KV heads x (key + value)
  CHECK(info.kv_bytes == 4 * 512 * info.kv_bytes_per_token);
  CHECK(info.model_fingerprint.size() == 64);
  CHECK(says(info.memory_plan, "4 sequences x 512 tokens x 256 B = 512.0 KiB"));
  CHECK(info.model_fingerprint != LlamaExecutor(tiny_options(1, "gemma2")).info().model_fingerprint);
}

TEST_CASE("the vocabulary's text side") {
  const LlamaExecutor executor(tiny_options());
  const auto vocab = executor.vocab();
  const Tokens ids = vocab->tokenize("<|im_start|>the h\xC3\xA9<|im_end|>", false, true);
  CHECK(ids.front() == 259);
  CHECK(ids.back() == 260);
  CHECK(vocab->detokenize(ids, true) == "<|im_start|>the h\xC3\xA9<|im_end|>");
  CHECK(vocab->detokenize(ids, false) == "the h\xC3\xA9");
  CHECK(vocab->is_control(259));
  CHECK(vocab->is_end_of_generation(260));
  CHECK_FALSE(vocab->is_end_of_generation(259));
  CHECK_FALSE(vocab->is_control(-5));
  CHECK(vocab->bos() == 1);
  CHECK_FALSE(vocab->adds_bos());
  CHECK(says(vocab->chat_template(), "im_start"));
  CHECK(vocab->metadata("general.architecture") == "llama");
  CHECK(vocab->metadata("no.such.key") == "");
  CHECK(vocab->tokenize("", true, true).empty());
  CHECK_THROWS_AS(static_cast<void>(vocab->detokenize(Tokens{300}, true)), InvalidArgument);
}

TEST_CASE("files that cannot be served say why") {
  const std::string good = contents(tiny_model("llama"));
  REQUIRE(good.size() > 100'000);
  CHECK(says(refusal("/nowhere/at/all.gguf"), "does not exist"));
  CHECK(says(refusal(std::filesystem::temp_directory_path().string()), "not a file"));
  CHECK(says(refusal_of(""), "shorter than a GGUF header"));
  CHECK(says(refusal_of("GGUF"), "truncated"));
  CHECK(says(refusal_of("PK\x03\x04 something else"), "not a GGUF file"));
  CHECK(says(refusal_of(good.substr(0, 1000)), "damaged or truncated"));
  CHECK(says(refusal_of(good.substr(0, good.size() - 5000)), "truncated: tensor"));
  std::string other = good;
  for (std::size_t at = 0; (at = other.find("llama", at)) != std::string::npos; at += 5) {
    other.replace(at, 5, "lxxma");
  }
  CHECK(says(refusal_of(other), "architecture 'lxxma'"));
}

TEST_CASE("a vocabulary without weights is refused as that") {
  // the header of the tiny model with a tensor count of 0: all metadata, no tensor
  std::string data = contents(tiny_model("llama"));
  std::fill_n(data.begin() + 8, 8, '\0');
  CHECK(says(refusal_of(data), "vocabulary only"));
}

TEST_CASE("random damage is refused or survived, never a crash") {
  const std::string good = contents(tiny_model("llama"));
  std::mt19937 engine(7);
  int refused = 0;
  for (int round = 0; round < 60; ++round) {
    std::string data = good;
    // flips in the header and metadata, where they can hurt
    for (int flip = 0; flip < 3; ++flip) {
      data[engine() % 12'000] = static_cast<char>(engine());
    }
    const std::string message = [&] {
      try {
        return refusal_of(data);
      } catch (const Error& error) {
        return std::string(error.what());
      }
    }();
    refused += message == "it was loaded" ? 0 : 1;
    CHECK_FALSE(message.empty());
  }
  CHECK(refused > 0);
}

TEST_CASE("options out of range, and a KV cache that cannot fit") {
  const auto with = [](auto change) {
    LlamaOptions options = tiny_options();
    change(options);
    return options;
  };
  CHECK_THROWS_AS(LlamaExecutor(with([](LlamaOptions& o) { o.max_sequences = 0; })), InvalidArgument);
  CHECK_THROWS_AS(LlamaExecutor(with([](LlamaOptions& o) { o.max_sequences = 257; })), InvalidArgument);
  CHECK_THROWS_AS(LlamaExecutor(with([](LlamaOptions& o) { o.max_idle_step_ms = 0.0; })), InvalidArgument);
  CHECK_THROWS_AS(LlamaExecutor(with([](LlamaOptions& o) { o.batch_tokens = 0; })), InvalidArgument);
  try {
    const LlamaExecutor executor(with([](LlamaOptions& o) { o.max_kv_bytes = 100'000; }));
    FAIL("a KV cache of 512 KiB was allowed 100,000 bytes");
  } catch (const ResourceExhausted& error) {
    CHECK(says(error.what(), "4 sequences x 512 tokens x 256 B"));
    CHECK(says(error.what(), "max_sequences"));
  }
}

TEST_CASE("automatic values are resolved, and the layout is measured") {
  LlamaOptions options = tiny_options(4);
  options.context_tokens = 0;
  options.threads = 0;
  options.layout = KvLayout::automatic;
  const LlamaExecutor executor(options);
  CHECK(executor.options().context_tokens == 2048);  // what the model was trained for
  CHECK(executor.options().threads >= 1);
  CHECK(executor.options().layout != KvLayout::automatic);
}
