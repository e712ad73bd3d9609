#include "executors/llama/model.h"

#include <ggml-backend.h>

#include <algorithm>

#include "common/format.h"
#include "executors/llama/log_sink.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

bool report_progress(float progress, void* user) {
  const auto& callback = *static_cast<const std::function<void(float)>*>(user);
  if (callback) {
    callback(progress);
  }
  return true;
}

void check_generates(const Model& model) {
  const llama_model* handle = model.handle.get();
  const char* reason = nullptr;
  if (llama_model_has_encoder(handle)) {
    reason = "needs an encoder pass";
  } else if (!llama_model_has_decoder(handle)) {
    reason = "has no decoder";
  } else if (llama_model_is_diffusion(handle)) {
    reason = "generates by diffusion";
  }
  if (reason != nullptr) {
    throw ModelError(text("the model '", model.file.path, "' of architecture '", model.file.architecture, "' ", reason,
                          "; this executor serves models that generate text token by token"));
  }
}

// What loading failed for, in a sentence that names the file.
[[noreturn]] void throw_unloadable(const GgufFile& file, const std::string& cause) {
  if (cause.find("unknown model architecture") != std::string::npos) {
    throw ModelError(text("the model file '", file.path, "' is of architecture '", file.architecture,
                          "', which this build of llama.cpp does not know; use a supported model"));
  }
  throw ModelError(text("the model file '", file.path, "' cannot be loaded: ",
                        cause.empty() ? "llama.cpp gave no reason" : cause, "; the file is damaged or unsupported"));
}

void load(Model& model, const llama_model_params& params) {
  const std::size_t mark = error_mark();
  model.handle.reset(llama_model_load_from_file(model.file.path.c_str(), params));
  if (!model.handle) {
    throw_unloadable(model.file, errors_since(mark));
  }
}

void read_vocab(Model& model) {
  const llama_vocab* vocab = model.vocab();
  model.vocab_size = llama_vocab_n_tokens(vocab);
  for (TokenId token = 0; token < model.vocab_size; ++token) {
    if (llama_vocab_is_eog(vocab, token)) {
      model.end_tokens.push_back(token);
    }
  }
}

}  // namespace

std::shared_ptr<const Model> load_model(const std::string& path, std::int32_t gpu_layers,
                                        const std::function<void(float)>& progress,
                                        const std::vector<AdapterFile>& adapters) {
  start_backend();
  auto model = std::make_shared<Model>();
  model->file = inspect_gguf(path);

  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = gpu_layers;
  params.progress_callback = report_progress;
  params.progress_callback_user_data = const_cast<std::function<void(float)>*>(&progress);
  load(*model, params);
  check_generates(*model);
  read_vocab(*model);
  model->trained_context_tokens = llama_model_n_ctx_train(model->handle.get());
  model->recurrent = llama_model_is_recurrent(model->handle.get()) || llama_model_is_hybrid(model->handle.get());
  model->window_tokens = std::max(0, llama_model_n_swa(model->handle.get()));
  model->on_gpu = gpu_layers != 0 && llama_supports_gpu_offload();
  // before any context: a context's graphs have room for the adapters that it knows of
  for (const AdapterFile& file : adapters) {
    const auto id = static_cast<std::int32_t>(model->adapters.size()) + 1;
    model->adapters.push_back(load_adapter(model->handle.get(), model->file, file, id));
  }
  return model;
}

std::shared_ptr<const Model> load_model_vocab(const std::string& path) {
  start_backend();
  auto model = std::make_shared<Model>();
  model->file = inspect_gguf(path, true);
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  load(*model, params);
  read_vocab(*model);
  if (model->vocab_size == 0) {
    throw ModelError(text("the model file '", path, "' holds no vocabulary; use a language model's file"));
  }
  return model;
}

}  // namespace poise::llama
