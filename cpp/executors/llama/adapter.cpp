#include "executors/llama/adapter.h"

#include <ggml.h>

#include <filesystem>
#include <string_view>

#include "common/format.h"
#include "executors/llama/gguf_reader.h"
#include "executors/llama/log_sink.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

constexpr const char* kActivatedKey = "adapter.alora.invocation_tokens";

// llama.cpp multiplies with these tensors: a type or a shape that it cannot multiply would end the process in a pass.
void check_tensor(const std::string& path, const ggml_tensor& tensor) {
  const std::string_view name = tensor.name;
  const bool factor = name.ends_with(".lora_a") || name.ends_with(".lora_b");
  const bool numbers = tensor.type == GGML_TYPE_F32 || tensor.type == GGML_TYPE_F16 || tensor.type == GGML_TYPE_BF16 ||
                       ggml_is_quantized(tensor.type);
  if (factor && !numbers) {
    throw ModelError(text("the adapter file '", path, "' is damaged: tensor '", tensor.name, "' is of type ",
                          ggml_type_name(tensor.type), ", factors are floating point or quantized"));
  }
  const bool of_experts = name.find("_exps.") != std::string_view::npos;
  if (factor && !of_experts && (tensor.ne[2] != 1 || tensor.ne[3] != 1)) {
    throw ModelError(
        text("the adapter file '", path, "' is damaged: tensor '", tensor.name, "' has more than two dimensions"));
  }
}

void check(const GgufReader& gguf, const std::string& path, const GgufFile& model) {
  const std::string kind = gguf.string("general.type");
  if (kind != "adapter" || gguf.string("adapter.type") != "lora") {
    throw ModelError(text("the file '", path, "' is no LoRA adapter: general.type is '", kind, "', adapter.type is '",
                          gguf.string("adapter.type"), "'; convert the adapter to a LoRA GGUF"));
  }
  const std::string architecture = gguf.string("general.architecture");
  if (architecture != model.architecture) {
    throw ModelError(text("the adapter file '", path, "' was made for another model: its architecture is '",
                          architecture, "', '", model.path, "' is of architecture '", model.architecture, "'"));
  }
  const gguf_type alpha = gguf.type("adapter.lora.alpha");
  if (alpha != GGUF_TYPE_COUNT && alpha != GGUF_TYPE_FLOAT32) {
    throw ModelError(text("the adapter file '", path, "' is damaged: adapter.lora.alpha is no 32-bit float"));
  }
  if (gguf.has(kActivatedKey)) {
    throw ModelError(text("the adapter file '", path,
                          "' is an activated LoRA, which applies to the end of a context only; use a plain LoRA"));
  }
  if (gguf.tensors() == 0) {
    throw ModelError(text("the adapter file '", path, "' holds no tensors; download it again"));
  }
  for (std::int64_t i = 0; i < gguf.tensors(); ++i) {
    check_tensor(path, *gguf.tensor(i));
  }
}

}  // namespace

Adapter load_adapter(llama_model* model, const GgufFile& model_file, const AdapterFile& file, std::int32_t id) {
  GgufReader gguf("adapter", file.path);
  check(gguf, file.path, model_file);

  Adapter adapter;
  adapter.facts.id = id;
  adapter.facts.name = file.name.empty() ? std::filesystem::path(file.path).stem().string() : file.name;
  adapter.facts.path = file.path;
  adapter.facts.fingerprint = gguf.fingerprint();
  adapter.facts.size_bytes = gguf.size_bytes();
  const std::size_t mark = error_mark();
  adapter.handle = llama_adapter_lora_init(model, file.path.c_str());
  if (adapter.handle == nullptr) {
    throw ModelError(text("the adapter file '", file.path, "' does not fit the model '", model_file.path,
                          "': ", errors_since(mark), "; it was made for another model, or is damaged"));
  }
  return adapter;
}

}  // namespace poise::llama
