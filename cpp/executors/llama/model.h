// A loaded model: llama_model with its facts.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <llama.h>

#include "executors/llama/adapter.h"
#include "executors/llama/gguf_file.h"
#include "poise/types.h"

namespace poise::llama {

struct ModelDelete {
  void operator()(llama_model* model) const { llama_model_free(model); }
};

struct Model {
  GgufFile file;
  std::unique_ptr<llama_model, ModelDelete> handle;
  std::int32_t vocab_size = 0;
  Tokens end_tokens;
  Position trained_context_tokens = 0;
  /// Its memory holds a state, not only KV cells: no token can be taken back (recurrent and hybrid architectures).
  bool recurrent = false;
  /// Tokens that sliding-window layers attend to; 0 = no such layers.
  Position window_tokens = 0;
  bool on_gpu = false;
  std::vector<Adapter> adapters;  ///< by id - 1

  /// What a request under `key` is computed with. Its adapter must be loaded.
  [[nodiscard]] AdapterUse adapter(const KvKey& key) const {
    if (key.adapter_id == 0 || key.adapter_scale == 0.0F) {
      return {};
    }
    return {adapters[static_cast<std::size_t>(key.adapter_id - 1)].handle, key.adapter_scale};
  }
  [[nodiscard]] const llama_vocab* vocab() const { return llama_model_get_vocab(handle.get()); }
};

/// Throws ModelError naming file and cause: missing, truncated, damaged, vocabulary only, an architecture that llama.cpp
/// does not know, one that does not generate text (encoders, diffusion), or an adapter that does not fit it.
[[nodiscard]] std::shared_ptr<const Model> load_model(const std::string& path, std::int32_t gpu_layers,
                                                      const std::function<void(float)>& progress,
                                                      const std::vector<AdapterFile>& adapters = {});

/// Vocabulary, template and metadata of a file, which need not hold weights. Throws ModelError naming file and cause.
[[nodiscard]] std::shared_ptr<const Model> load_model_vocab(const std::string& path);

}  // namespace poise::llama
