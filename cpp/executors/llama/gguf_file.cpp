#include "executors/llama/gguf_file.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "common/format.h"
#include "executors/common/sha256.h"
#include "executors/llama/log_sink.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

constexpr std::uint64_t kHeaderBytes = 24;  // magic, version, tensor count, metadata count
constexpr std::uint64_t kSampleBytes = 64U << 10U;

struct GgufDelete {
  void operator()(gguf_context* context) const { gguf_free(context); }
};
using GgufPtr = std::unique_ptr<gguf_context, GgufDelete>;

std::uint64_t checked_size(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) {
    throw ModelError(text("the model file '", path, "' does not exist; check the path"));
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw ModelError(text("the model path '", path, "' is not a file; name one .gguf file"));
  }
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    throw ModelError(text("the model file '", path, "' cannot be read: ", error.message()));
  }
  return size;
}

void check_magic(const std::string& path, std::uint64_t size, std::ifstream& file) {
  std::array<char, 4> magic{};
  file.read(magic.data(), magic.size());
  if (!file) {
    throw ModelError(text("the model file '", path, "' cannot be read or is shorter than a GGUF header (", size, " of ",
                          kHeaderBytes, " bytes); download it again"));
  }
  if (std::memcmp(magic.data(), "GGUF", magic.size()) != 0) {
    throw ModelError(text("the model file '", path,
                          "' is not a GGUF file: it does not start with 'GGUF'; convert the "
                          "model to GGUF first"));
  }
  if (size < kHeaderBytes) {
    throw ModelError(text("the model file '", path, "' is truncated: ", size, " bytes, a GGUF header alone has ",
                          kHeaderBytes, "; download it again"));
  }
}

std::string string_value(const gguf_context* gguf, const std::string& key) {
  const auto id = gguf_find_key(gguf, key.c_str());
  return id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_STRING ? gguf_get_val_str(gguf, id) : "";
}

// Scalar or per-layer array of unsigned or signed 32-bit numbers.
std::vector<std::uint64_t> numbers(const gguf_context* gguf, const std::string& key) {
  const auto id = gguf_find_key(gguf, key.c_str());
  if (id < 0) {
    return {};
  }
  const gguf_type type = gguf_get_kv_type(gguf, id);
  if (type == GGUF_TYPE_UINT32) {
    return {gguf_get_val_u32(gguf, id)};
  }
  if (type == GGUF_TYPE_INT32) {
    return {static_cast<std::uint64_t>(std::max(0, gguf_get_val_i32(gguf, id)))};
  }
  if (type == GGUF_TYPE_UINT64) {
    return {gguf_get_val_u64(gguf, id)};
  }
  if (type != GGUF_TYPE_ARRAY) {
    return {};
  }
  const gguf_type element = gguf_get_arr_type(gguf, id);
  if (element != GGUF_TYPE_UINT32 && element != GGUF_TYPE_INT32) {
    return {};
  }
  const auto* data = static_cast<const std::uint32_t*>(gguf_get_arr_data(gguf, id));
  return {data, data + gguf_get_arr_n(gguf, id)};
}

std::uint64_t number(const gguf_context* gguf, const std::string& key, std::uint64_t otherwise) {
  const auto values = numbers(gguf, key);
  return values.empty() ? otherwise : values.front();
}

// Bytes of K and V of one token: 2 bytes x KV heads x (key length + value length), summed over the layers.
KvShape kv_shape(const gguf_context* gguf, const std::string& architecture) {
  const auto key = [&architecture](const char* name) { return architecture + "." + name; };
  KvShape shape;
  const std::uint64_t layers = number(gguf, key("block_count"), 0);
  shape.layers = static_cast<std::int32_t>(std::min<std::uint64_t>(layers, 4096));
  const std::uint64_t heads = std::max<std::uint64_t>(1, number(gguf, key("attention.head_count"), 0));
  const std::uint64_t head_length = number(gguf, key("embedding_length"), 0) / heads;
  const std::uint64_t k_length = number(gguf, key("attention.key_length"), head_length);
  const std::uint64_t v_length = number(gguf, key("attention.value_length"), head_length);
  auto kv_heads = numbers(gguf, key("attention.head_count_kv"));
  if (kv_heads.empty()) {
    kv_heads = numbers(gguf, key("attention.head_count"));
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

void check_tensors(const gguf_context* gguf, const GgufFile& file, bool vocab_only) {
  const std::int64_t tensors = gguf_get_n_tensors(gguf);
  if (tensors == 0 && !vocab_only) {
    throw ModelError(
        text("the model file '", file.path, "' holds a vocabulary only, no weights; use the file with the model"));
  }
  const std::uint64_t data = gguf_get_data_offset(gguf);
  for (std::int64_t i = 0; i < tensors; ++i) {
    const std::uint64_t offset = gguf_get_tensor_offset(gguf, i);
    const std::uint64_t size = gguf_get_tensor_size(gguf, i);
    if (offset > file.size_bytes || size > file.size_bytes || data + offset + size > file.size_bytes) {
      throw ModelError(text("the model file '", file.path, "' is truncated: tensor '", gguf_get_tensor_name(gguf, i),
                            "' ends at byte ", data + offset + size, ", the file at ", file.size_bytes,
                            "; download it again"));
    }
  }
}

void digest_range(Sha256& sha, std::ifstream& file, std::uint64_t begin, std::uint64_t bytes) {
  std::vector<char> buffer(std::min<std::uint64_t>(bytes, 1U << 20U));
  file.clear();
  file.seekg(static_cast<std::streamoff>(begin));
  while (bytes > 0) {
    const auto part = static_cast<std::streamsize>(std::min<std::uint64_t>(bytes, buffer.size()));
    file.read(buffer.data(), part);
    if (file.gcount() != part) {
      throw ModelError("the model file ended while its fingerprint was taken; is it still being written?");
    }
    sha.update(std::as_bytes(std::span(buffer.data(), static_cast<std::size_t>(part))));
    bytes -= static_cast<std::uint64_t>(part);
  }
}

std::string fingerprint(const gguf_context* gguf, const GgufFile& model, std::ifstream& file) {
  Sha256 sha;
  if (model.size_bytes <= kWholeDigestBytes) {
    digest_range(sha, file, 0, model.size_bytes);
    return sha.hex_digest();
  }
  const std::string size = std::to_string(model.size_bytes);
  sha.update(std::as_bytes(std::span(size.data(), size.size())));
  const std::uint64_t data = gguf_get_data_offset(gguf);
  digest_range(sha, file, 0, data);
  for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf); ++i) {
    const std::uint64_t begin = data + gguf_get_tensor_offset(gguf, i);
    const std::uint64_t bytes = gguf_get_tensor_size(gguf, i);
    digest_range(sha, file, begin, std::min(bytes, kSampleBytes));
    if (bytes > kSampleBytes) {
      digest_range(sha, file, begin + bytes - kSampleBytes, kSampleBytes);
    }
  }
  return sha.hex_digest();
}

}  // namespace

GgufFile inspect_gguf(const std::string& path, bool vocab_only) {
  GgufFile model;
  model.path = path;
  model.size_bytes = checked_size(path);
  std::ifstream file(path, std::ios::binary);
  check_magic(path, model.size_bytes, file);

  const std::size_t mark = error_mark();
  gguf_init_params params{};
  params.no_alloc = true;
  const GgufPtr gguf(gguf_init_from_file(path.c_str(), params));
  if (!gguf) {
    throw ModelError(text("the model file '", path, "' is damaged or truncated: its metadata cannot be read (",
                          errors_since(mark), "); download it again"));
  }
  model.architecture = string_value(gguf.get(), "general.architecture");
  if (model.architecture.empty()) {
    throw ModelError(
        text("the model file '", path, "' names no architecture (general.architecture); it is not a language model"));
  }
  check_tensors(gguf.get(), model, vocab_only);
  model.name = string_value(gguf.get(), "general.name");
  if (model.name.empty()) {
    model.name = std::filesystem::path(path).stem().string();
  }
  model.trained_context_tokens = number(gguf.get(), model.architecture + ".context_length", 0);
  model.kv = kv_shape(gguf.get(), model.architecture);
  model.fingerprint = fingerprint(gguf.get(), model, file);
  return model;
}

}  // namespace poise::llama
