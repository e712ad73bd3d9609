#include "executors/llama/gguf_reader.h"

#include <ggml.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <span>

#include "common/format.h"
#include "executors/common/sha256.h"
#include "executors/llama/log_sink.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

constexpr std::uint64_t kHeaderBytes = 24;  // magic, version, tensor count, metadata count
constexpr std::uint64_t kSampleBytes = 64U << 10U;

std::uint64_t checked_size(const std::string& noun, const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) {
    throw ModelError(text("the ", noun, " file '", path, "' does not exist; check the path"));
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw ModelError(text("the ", noun, " path '", path, "' is not a file; name one .gguf file"));
  }
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    throw ModelError(text("the ", noun, " file '", path, "' cannot be read: ", error.message()));
  }
  return size;
}

void digest_range(Sha256& sha, std::ifstream& file, std::uint64_t begin, std::uint64_t bytes) {
  std::vector<char> buffer(std::min<std::uint64_t>(bytes, 1U << 20U));
  file.clear();
  file.seekg(static_cast<std::streamoff>(begin));
  while (bytes > 0) {
    const auto part = static_cast<std::streamsize>(std::min<std::uint64_t>(bytes, buffer.size()));
    file.read(buffer.data(), part);
    if (file.gcount() != part) {
      throw ModelError("the file ended while its fingerprint was taken; is it still being written?");
    }
    sha.update(std::as_bytes(std::span(buffer.data(), static_cast<std::size_t>(part))));
    bytes -= static_cast<std::uint64_t>(part);
  }
}

}  // namespace

void GgufReader::GgmlDelete::operator()(ggml_context* context) const { ggml_free(context); }

GgufReader::GgufReader(const std::string& noun, const std::string& path)
    : noun_(noun), path_(path), size_bytes_(checked_size(noun, path)), file_(path, std::ios::binary) {
  check_magic();
  const std::size_t mark = error_mark();
  ggml_context* descriptions = nullptr;
  gguf_init_params params{};
  params.no_alloc = true;
  params.ctx = &descriptions;
  gguf_.reset(gguf_init_from_file(path.c_str(), params));
  descriptions_.reset(descriptions);
  if (!gguf_) {
    throw ModelError(text("the ", noun, " file '", path, "' is damaged or truncated: its metadata cannot be read (",
                          errors_since(mark), "); download it again"));
  }
  check_tensors();
}

GgufReader::~GgufReader() = default;

void GgufReader::check_magic() {
  std::array<char, 4> magic{};
  file_.read(magic.data(), magic.size());
  if (!file_) {
    throw ModelError(text("the ", noun_, " file '", path_, "' cannot be read or is shorter than a GGUF header (",
                          size_bytes_, " of ", kHeaderBytes, " bytes); download it again"));
  }
  if (std::memcmp(magic.data(), "GGUF", magic.size()) != 0) {
    throw ModelError(text("the ", noun_, " file '", path_,
                          "' is not a GGUF file: it does not start with 'GGUF'; convert the ", noun_,
                          " to GGUF first"));
  }
  if (size_bytes_ < kHeaderBytes) {
    throw ModelError(text("the ", noun_, " file '", path_, "' is truncated: ", size_bytes_,
                          " bytes, a GGUF header alone has ", kHeaderBytes, "; download it again"));
  }
}

void GgufReader::check_tensors() const {
  const std::uint64_t data = gguf_get_data_offset(gguf_.get());
  for (std::int64_t i = 0; i < tensors(); ++i) {
    const std::uint64_t offset = gguf_get_tensor_offset(gguf_.get(), i);
    const std::uint64_t size = gguf_get_tensor_size(gguf_.get(), i);
    if (offset > size_bytes_ || size > size_bytes_ || data + offset + size > size_bytes_) {
      throw ModelError(text("the ", noun_, " file '", path_, "' is truncated: tensor '",
                            gguf_get_tensor_name(gguf_.get(), i), "' ends at byte ", data + offset + size,
                            ", the file at ", size_bytes_, "; download it again"));
    }
  }
}

gguf_type GgufReader::type(const std::string& key) const {
  const auto id = gguf_find_key(gguf_.get(), key.c_str());
  return id < 0 ? GGUF_TYPE_COUNT : gguf_get_kv_type(gguf_.get(), id);
}

std::string GgufReader::string(const std::string& key) const {
  return type(key) == GGUF_TYPE_STRING ? gguf_get_val_str(gguf_.get(), gguf_find_key(gguf_.get(), key.c_str())) : "";
}

std::vector<std::uint64_t> GgufReader::numbers(const std::string& key) const {
  const auto id = gguf_find_key(gguf_.get(), key.c_str());
  switch (type(key)) {
    case GGUF_TYPE_UINT32:
      return {gguf_get_val_u32(gguf_.get(), id)};
    case GGUF_TYPE_INT32:
      return {static_cast<std::uint64_t>(std::max(0, gguf_get_val_i32(gguf_.get(), id)))};
    case GGUF_TYPE_UINT64:
      return {gguf_get_val_u64(gguf_.get(), id)};
    case GGUF_TYPE_ARRAY: {
      const gguf_type element = gguf_get_arr_type(gguf_.get(), id);
      if (element != GGUF_TYPE_UINT32 && element != GGUF_TYPE_INT32) {
        return {};
      }
      const auto* data = static_cast<const std::uint32_t*>(gguf_get_arr_data(gguf_.get(), id));
      return {data, data + gguf_get_arr_n(gguf_.get(), id)};
    }
    default:
      return {};
  }
}

std::uint64_t GgufReader::number(const std::string& key, std::uint64_t otherwise) const {
  const auto values = numbers(key);
  return values.empty() ? otherwise : values.front();
}

const ggml_tensor* GgufReader::tensor(std::int64_t index) const {
  return ggml_get_tensor(descriptions_.get(), gguf_get_tensor_name(gguf_.get(), index));
}

std::string GgufReader::fingerprint() {
  Sha256 sha;
  if (size_bytes_ <= kWholeDigestBytes) {
    digest_range(sha, file_, 0, size_bytes_);
    return sha.hex_digest();
  }
  const std::string size = std::to_string(size_bytes_);
  sha.update(std::as_bytes(std::span(size.data(), size.size())));
  const std::uint64_t data = gguf_get_data_offset(gguf_.get());
  digest_range(sha, file_, 0, data);
  for (std::int64_t i = 0; i < tensors(); ++i) {
    const std::uint64_t begin = data + gguf_get_tensor_offset(gguf_.get(), i);
    const std::uint64_t bytes = gguf_get_tensor_size(gguf_.get(), i);
    digest_range(sha, file_, begin, std::min(bytes, kSampleBytes));
    if (bytes > kSampleBytes) {
      digest_range(sha, file_, begin + bytes - kSampleBytes, kSampleBytes);
    }
  }
  return sha.hex_digest();
}

}  // namespace poise::llama
