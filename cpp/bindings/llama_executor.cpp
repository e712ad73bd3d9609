#include "poise/llama_executor.h"

#include <pybind11/functional.h>

#include "bindings.h"

namespace poise::bindings {
namespace {

void define_options(py::module_& module) {
  py::native_enum<KvLayout>(module, "KvLayout", "enum.Enum", "How sequences share the KV buffers.")
      .value("automatic", KvLayout::automatic, "The cheaper one by measured cost at start.")
      .value("streams", KvLayout::streams, "One buffer a sequence.")
      .value("unified", KvLayout::unified, "One buffer for all.")
      .finalize();

  using A = AdapterFile;
  py::class_<A> adapter(module, "AdapterFile", "A LoRA adapter; its id is its place in the list, from 1.");
  bind_options(adapter, field("name", &A::name, "How people call it."), field("path", &A::path, "A GGUF file."));

  using C = SizeClass;
  py::class_<C> size(module, "SizeClass", "Sequences of one length over the same weights.");
  bind_options(size, field("context_tokens", &C::context_tokens, "Of each sequence."),
               field("sequences", &C::sequences, "How many."));

  using L = LoadedAdapter;
  py::class_<L> loaded(module, "LoadedAdapter", "A LoRA adapter that an executor has loaded.");
  bind_result(loaded, field("id", &L::id, "What KvKey.adapter_id calls it, from 1."),
              field("name", &L::name, "How people call it."), field("path", &L::path, "Its file."),
              field("fingerprint", &L::fingerprint, "SHA-256 in hex, by the model's rule."),
              field("size_bytes", &L::size_bytes, "Of the file."));

  using T = SizeClassState;
  py::class_<T> state(module, "SizeClassState", "What a size class holds now.");
  bind_result(state, field("size", &T::size, "Length and number of its sequences."),
              field("kv_bytes", &T::kv_bytes, "Allocated."),
              field("sequences_used", &T::sequences_used, "Of its sequences."),
              field("resident_tokens", &T::resident_tokens, "In its sequences."),
              field("promotions", &T::promotions, "Since start: owners that came from a smaller class."));

  using O = LlamaOptions;
  py::class_<O> options(module, "LlamaOptions", "What the embedded executor is started with.");
  bind_options(options, field("model_path", &O::model_path, "A GGUF file."),
               field("max_sequences", &O::max_sequences, "Sessions and branches resident at once, 1..256."),
               field("context_tokens", &O::context_tokens, "Of one sequence; 0 = as trained, capped at 8192."),
               field("threads", &O::threads, "0 = physical cores."),
               field("batch_tokens", &O::batch_tokens, "Prefill tokens of one pass."),
               field("layout", &O::layout, "How sequences share the KV buffers."),
               field("gpu_layers", &O::gpu_layers, "-1 = all, where the build has a GPU backend."),
               field("max_idle_step_ms", &O::max_idle_step_ms, "Bounds the idle quantum."),
               field("park_bytes", &O::park_bytes, "Host memory for parked sequences."),
               field("max_kv_bytes", &O::max_kv_bytes, "Refuse a larger KV cache; 0 = what the machine has free."),
               field("adapters", &O::adapters, "LoRA adapters, loaded at start."),
               field("size_classes", &O::size_classes, "Several lengths of sequence, ascending; empty = one."),
               field("debug_checks", &O::debug_checks, "Check the books whenever the executor becomes idle."),
               field("progress", &O::progress, "Called with 0..1 while the model loads."));
}

void bind_vocab(py::module_& module) {
  py::classh<LlamaVocab>(module, "LlamaVocab", "Text side of the model file. Immutable and thread-safe.")
      .def("tokenize", &LlamaVocab::tokenize, py::arg("text"), py::kw_only(), py::arg("add_special"),
           py::arg("parse_special"), py::call_guard<py::gil_scoped_release>(),
           "Text to ids. parse_special: control tokens in the text become their ids.")
      .def(
          "detokenize",
          [](const LlamaVocab& self, const Tokens& tokens, bool render_special) {
            return py::bytes(self.detokenize(tokens, render_special));
          },
          py::arg("tokens"), py::kw_only(), py::arg("render_special"),
          "UTF-8 bytes of the ids; they may end inside a character.")
      .def("chat_template", &LlamaVocab::chat_template, "Empty if the file has none.")
      .def("metadata", &LlamaVocab::metadata, py::arg("key"), "Empty if absent.")
      .def_property_readonly("bos", &LlamaVocab::bos, "NO_TOKEN if none.")
      .def_property_readonly("eos", &LlamaVocab::eos, "NO_TOKEN if none.")
      .def_property_readonly("adds_bos", &LlamaVocab::adds_bos, "The model expects bos in front.")
      .def("is_end_of_generation", &LlamaVocab::is_end_of_generation, py::arg("token"), "The model ends with it.")
      .def("is_control", &LlamaVocab::is_control, py::arg("token"), "A token that stands for no text.")
      .def("__len__", &LlamaVocab::size, "Number of ids.");
  module.def(
      "load_vocab", [](const std::string& path) { return std::const_pointer_cast<LlamaVocab>(load_vocab(path)); },
      py::arg("path"), py::call_guard<py::gil_scoped_release>(),
      "Tokenizer and template of a GGUF file, with or without weights. Raises ModelError.");
}

/// llama.cpp calls it from C code: an exception is printed, and goes no further.
std::function<void(float)> unraising(std::function<void(float)> progress) {
  return [progress = std::move(progress)](float done) {
    try {
      progress(done);
    } catch (py::error_already_set& raised) {
      const py::gil_scoped_acquire gil;
      raised.discard_as_unraisable("progress");
    }
  };
}

}  // namespace

void bind_llama_executor(py::module_& module) {
  define_options(module);
  bind_vocab(module);
  using Release = py::call_guard<py::gil_scoped_release>;
  py::classh<LlamaExecutor, Executor>(module, "LlamaExecutor", "The embedded executor: libllama behind its own thread.",
                                      py::release_gil_before_calling_cpp_dtor())
      .def(py::init([](LlamaOptions chosen) {
             if (chosen.progress) {
               chosen.progress = unraising(std::move(chosen.progress));
             }
             auto executor = std::make_shared<LlamaExecutor>(std::move(chosen));
             shut_down_at_exit(executor);
             return executor;
           }),
           py::arg("options"), Release(), "Raises ModelError, ResourceExhausted or InvalidArgument.")
      .def(
          "vocab", [](const LlamaExecutor& self) { return std::const_pointer_cast<LlamaVocab>(self.vocab()); },
          "Tokenizer and template of the model file.")
      .def_property_readonly(
          "options", [](const LlamaExecutor& self) { return self.options(); }, "The options as resolved.")
      .def_property_readonly("adapters", &LlamaExecutor::adapters, "The loaded adapters, by id - 1.")
      .def_property_readonly("classes", &LlamaExecutor::classes, "The size classes now, ascending; at least one.");
}

}  // namespace poise::bindings
