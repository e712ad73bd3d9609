#include "executors/llama/gguf_file.h"

#include <algorithm>
#include <filesystem>

#include "common/format.h"
#include "executors/llama/gguf_reader.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

// Bytes of K and V of one token: 2 bytes x KV heads x (key length + value length), summed over the layers.
KvShape kv_shape(const GgufReader& gguf, const std::string& architecture) {
  const auto key = [&architecture](const char* name) { return architecture + "." + name; };
  KvShape shape;
  const std::uint64_t layers = gguf.number(key("block_count"), 0);
  shape.layers = static_cast<std::int32_t>(std::min<std::uint64_t>(layers, 4096));
  const std::uint64_t heads = std::max<std::uint64_t>(1, gguf.number(key("attention.head_count"), 0));
  const std::uint64_t head_length = gguf.number(key("embedding_length"), 0) / heads;
  const std::uint64_t k_length = gguf.number(key("attention.key_length"), head_length);
  const std::uint64_t v_length = gguf.number(key("attention.value_length"), head_length);
  auto kv_heads = gguf.numbers(key("attention.head_count_kv"));
  if (kv_heads.empty()) {
    kv_heads = gguf.numbers(key("attention.head_count"));
  }
  if (kv_heads.empty()) {
    return shape;  // no attention
  }
  for (std::int32_t layer = 0; layer < shape.layers; ++layer) {
    const auto at = std::min<std::size_t>(static_cast<std::size_t>(layer), kv_heads.size() - 1);
    shape.bytes_per_token += 2U * kv_heads[at] * (k_length + v_length);
  }
  return shape;
}

}  // namespace

GgufFile inspect_gguf(const std::string& path, bool vocab_only) {
  GgufReader gguf("model", path);
  GgufFile model;
  model.path = path;
  model.size_bytes = gguf.size_bytes();
  model.architecture = gguf.string("general.architecture");
  if (model.architecture.empty()) {
    throw ModelError(
        text("the model file '", path, "' names no architecture (general.architecture); it is not a language model"));
  }
  if (gguf.string("general.type") == "adapter") {
    throw ModelError(
        text("the model file '", path,
             "' is an adapter, not a model; name the model that it was made for, and this file in `adapters`"));
  }
  if (gguf.tensors() == 0 && !vocab_only) {
    throw ModelError(
        text("the model file '", path, "' holds a vocabulary only, no weights; use the file with the model"));
  }
  model.name = gguf.string("general.name");
  if (model.name.empty()) {
    model.name = std::filesystem::path(path).stem().string();
  }
  model.trained_context_tokens = gguf.number(model.architecture + ".context_length", 0);
  model.kv = kv_shape(gguf, model.architecture);
  model.fingerprint = gguf.fingerprint();
  return model;
}

}  // namespace poise::llama
