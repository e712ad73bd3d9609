// LoRA adapters: checked before llama.cpp reads them, since it aborts on some kinds of damage.
#pragma once

#include <cstdint>
#include <string>

#include <llama.h>

#include "executors/llama/gguf_file.h"
#include "poise/llama_executor.h"

namespace poise::llama {

/// A loaded adapter. llama.cpp frees it with its model.
struct Adapter {
  LoadedAdapter facts;
  llama_adapter_lora* handle = nullptr;
};

/// Which adapter a pass runs under. None, or a scale of 0: the model as it is.
struct AdapterUse {
  llama_adapter_lora* handle = nullptr;
  float scale = 0.0F;
  friend bool operator==(const AdapterUse&, const AdapterUse&) = default;
};

/// Throws ModelError naming the file: missing, truncated, damaged, no LoRA, made for another model, or an activated LoRA
/// (which applies to a part of a context only). `id` is what requests call it.
[[nodiscard]] Adapter load_adapter(llama_model* model, const GgufFile& model_file, const AdapterFile& file,
                                   std::int32_t id);

}  // namespace poise::llama
