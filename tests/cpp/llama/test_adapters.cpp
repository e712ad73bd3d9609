// LoRA adapters: what is refused at start, and that KV, passes and answers of different adapters never mix.
#include <doctest/doctest.h>

#include <filesystem>
#include <random>

#include "llama/harness.h"
#include "poise/error.h"

using namespace poise;
using namespace poise::test;

namespace {

LlamaOptions with_adapters(std::int32_t sequences = 4) {
  LlamaOptions options = tiny_options(sequences);
  options.adapters = {{"first", tiny_model("lora")}, {"second", tiny_model("lora2")}};
  return options;
}

Request under(std::int32_t adapter, float scale, Tokens context, std::int32_t max_new_tokens,
              OwnerId owner = kNoOwner) {
  Request request = greedy(std::move(context), max_new_tokens, owner);
  request.key.adapter_id = adapter;
  request.key.adapter_scale = scale;
  return request;
}

// An executor that has never computed anything else.
Tokens alone(std::int32_t adapter, float scale, const Tokens& context, std::int32_t max_new_tokens) {
  LlamaExecutor executor(with_adapters(1));
  return run(executor, under(adapter, scale, context, max_new_tokens))->tokens;
}

std::string refusal(const std::string& path, const std::string& model = "llama") {
  LlamaOptions options = tiny_options(1, model);
  options.adapters = {{"broken", path}};
  try {
    const LlamaExecutor executor(options);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "it was loaded";
}

std::string replaced(std::string data, const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  REQUIRE(data.find(from) != std::string::npos);
  for (std::size_t at = 0; (at = data.find(from, at)) != std::string::npos; at += to.size()) {
    data.replace(at, from.size(), to);
  }
  return data;
}

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("adapters are told by id, name and fingerprint; the model's fingerprint stays its own") {
  const LlamaExecutor executor(with_adapters());
  const auto loaded = executor.adapters();
  REQUIRE(loaded.size() == 2);
  CHECK(loaded[0].id == 1);
  CHECK(loaded[0].name == "first");
  CHECK(loaded[1].id == 2);
  CHECK(loaded[1].path == tiny_model("lora2"));
  CHECK(loaded[0].fingerprint.size() == 64);
  CHECK(loaded[0].fingerprint != loaded[1].fingerprint);
  CHECK(loaded[0].size_bytes == std::filesystem::file_size(tiny_model("lora")));
  CHECK(executor.info().model_fingerprint == LlamaExecutor(tiny_options(1)).info().model_fingerprint);
}

TEST_CASE("adapter, scale and text salt: each answers as alone, and none reuses another's KV") {
  const Tokens context = some_tokens(80, 1);
  const Tokens base = reference_answer(context, 12);
  const Tokens first = alone(1, 1.0F, context, 12);
  const Tokens weaker = alone(1, 0.25F, context, 12);
  const Tokens second = alone(2, 1.0F, context, 12);
  CHECK(first != base);
  CHECK(first != weaker);
  CHECK(first != second);

  for (const KvLayout layout : {KvLayout::streams, KvLayout::unified}) {
    LlamaOptions options = with_adapters(8);
    options.layout = layout;
    LlamaExecutor executor(options);
    const auto expect = [&](Request request, const Tokens& tokens) {
      const auto answer = run(executor, std::move(request));
      CHECK(answer->completion.reused_tokens == 0);
      CHECK(answer->completion.prefilled_tokens == 80);
      CHECK(answer->tokens == tokens);
    };
    expect(greedy(context, 12, 1), base);
    expect(under(1, 1.0F, context, 12, 2), first);
    expect(under(1, 0.25F, context, 12, 3), weaker);
    expect(under(2, 1.0F, context, 12, 4), second);
    expect(under(1, 0.0F, context, 12, 5), base);  // a scale of 0 is no adapter, and a key of its own
    Request salted = greedy(context, 12, 6);
    salted.key.text_salt = 7;
    expect(std::move(salted), base);
    // and each goes on in its own KV
    CHECK(run(executor, under(1, 1.0F, context, 12, 2))->completion.reused_tokens == 79);
    CHECK(run(executor, under(2, 1.0F, context, 12, 4))->tokens == second);
    executor.check_integrity();
  }
}

TEST_CASE("requests of different adapters at once: no pass mixes them") {
  LlamaExecutor executor(with_adapters(8));
  struct Case {
    std::int32_t adapter;
    float scale;
    std::shared_ptr<Recorder> answer;
  };
  std::vector<Case> cases;
  const auto gate = start(executor, greedy(some_tokens(400, 9), 100, 99));  // all of them run at once behind it
  for (int round = 0; round < 2; ++round) {
    for (const auto& [adapter, scale] : {std::pair{0, 0.0F}, {1, 1.0F}, {2, 1.0F}}) {
      const auto seed = static_cast<std::uint32_t>(cases.size());
      cases.push_back(
          {adapter, scale, start(executor, under(adapter, scale, some_tokens(60 + 7 * seed, seed), 20, 10 + seed))});
    }
  }
  gate->wait();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& one = cases[i];
    one.answer->wait();
    const auto seed = static_cast<std::uint32_t>(i);
    CHECK(one.answer->tokens == alone(one.adapter, one.scale, some_tokens(60 + 7 * seed, seed), 20));
  }
  executor.check_integrity();
}

TEST_CASE("a throwaway token in another adapter's sequence leaves no trace") {
  // sequences side by side: running ones at the ends, another adapter's in the hole between
  LlamaExecutor executor(with_adapters(3));
  const Tokens contexts[] = {some_tokens(50, 1), some_tokens(60, 2), some_tokens(70, 3)};
  static_cast<void>(run(executor, greedy(contexts[0], 0, 1)));
  static_cast<void>(run(executor, under(1, 1.0F, contexts[1], 0, 2)));
  static_cast<void>(run(executor, greedy(contexts[2], 0, 3)));
  const auto left = start(executor, greedy(contexts[0], 200, 1));
  const auto right = start(executor, greedy(contexts[2], 200, 3));
  left->wait();
  right->wait();
  const auto between = run(executor, under(1, 1.0F, contexts[1], 12, 2));
  CHECK(between->completion.reused_tokens == 59);
  CHECK(between->tokens == alone(1, 1.0F, contexts[1], 12));
  executor.check_integrity();
}

TEST_CASE("a parked session of an adapter comes back under it") {
  LlamaOptions options = with_adapters(1);
  options.context_tokens = 1024;
  LlamaExecutor executor(options);
  const Tokens context = some_tokens(600, 1);
  static_cast<void>(run(executor, under(1, 1.0F, context, 0, 1)));
  static_cast<void>(run(executor, greedy(context, 0, 2)));  // the same tokens, without it
  const auto back = run(executor, under(1, 1.0F, joined(context, {5}), 6, 1));
  CHECK(back->completion.restored_tokens == 600);
  LlamaExecutor fresh(options);
  CHECK(back->tokens == run(fresh, under(1, 1.0F, joined(context, {5}), 6, 1))->tokens);
  executor.check_integrity();
}

TEST_CASE("an unknown adapter is refused with what is loaded") {
  LlamaExecutor executor(with_adapters(1));
  for (const std::int32_t id : {3, -1}) {
    try {
      executor.enqueue(under(id, 1.0F, {5, 6}, 1), std::make_shared<Recorder>());
      FAIL("it was taken");
    } catch (const InvalidArgument& error) {
      CHECK(says(error.what(), "adapter " + std::to_string(id) + " is not loaded"));
      CHECK(says(error.what(), "1 ('first'), 2 ('second')"));
    }
  }
}

TEST_CASE("adapter files that cannot be used say why") {
  const std::string good = contents(tiny_model("lora"));
  CHECK(says(refusal("/nowhere/lora.gguf"), "'/nowhere/lora.gguf' does not exist"));
  CHECK(says(refusal(tiny_model("llama")), "no LoRA adapter"));
  CHECK(says(refusal(tiny_model("lora"), "gemma2"), "made for another model"));
  const auto refusal_of = [](const std::string& data) { return refusal(TemporaryFile(data).path()); };
  CHECK(says(refusal_of("GGUF"), "truncated"));
  CHECK(says(refusal_of(good.substr(0, good.size() - 500)), "truncated: tensor"));
  CHECK(says(refusal_of(good.substr(0, 300)), "damaged or truncated"));
  CHECK(says(refusal_of(replaced(good, "blk.1.attn_q", "blk.7.attn_q")), "does not exist in base model"));
  CHECK(says(refusal_of(replaced(good, "attn_v.weight.lora_b", "attn_v.weight.lora_x")), "unexpected suffix"));
  CHECK(says(refusal_of(replaced(good, "lora", "lxra")), "no LoRA adapter"));
  LlamaOptions options = tiny_options(1);
  options.model_path = tiny_model("lora");
  CHECK_THROWS_WITH_AS(LlamaExecutor{options}, doctest::Contains("is an adapter, not a model"), ModelError);
}

TEST_CASE("random damage of an adapter is refused or survived, never a crash") {
  const std::string good = contents(tiny_model("lora"));
  std::mt19937 engine(11);
  int refused = 0;
  for (int round = 0; round < 60; ++round) {
    std::string data = good;
    for (int flip = 0; flip < 3; ++flip) {
      data[engine() % 900] = static_cast<char>(engine());
    }
    const std::string message = refusal(TemporaryFile(data).path());
    refused += message == "it was loaded" ? 0 : 1;
    CHECK_FALSE(message.empty());
  }
  CHECK(refused > 0);
}

TEST_CASE("two adapters of one name, and one without, are refused") {
  LlamaOptions options = tiny_options(1);
  options.adapters = {{"same", tiny_model("lora")}, {"same", tiny_model("lora2")}};
  CHECK_THROWS_WITH_AS(LlamaExecutor{options}, doctest::Contains("two are called 'same'"), InvalidArgument);
  options.adapters = {{"", tiny_model("lora")}};
  CHECK_THROWS_WITH_AS(LlamaExecutor{options}, doctest::Contains("has no name"), InvalidArgument);
}
