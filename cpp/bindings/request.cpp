// What an executor is asked: Request and its parts.
#include "bindings.h"
#include "poise/executor.h"

namespace poise::bindings {

void bind_request(py::module_& module) {
  py::class_<KvKey> key(module, "KvKey", "What must be equal for two contexts to share KV.");
  bind_options(key, field("tenant_salt", &KvKey::tenant_salt, "One value a tenant, set by the server."),
               field("adapter_id", &KvKey::adapter_id, "0 = no LoRA adapter."),
               field("adapter_scale", &KvKey::adapter_scale, "The adapter's scale."),
               field("text_salt", &KvKey::text_salt, "A digest of template arguments and tools."));
  key.def("__eq__", [](const KvKey& a, const KvKey& b) { return a == b; }, py::is_operator());

  py::class_<Retention> retention(module, "Retention", "How much a range's KV is worth after the request has ended.");
  bind_options(retention, field("begin", &Retention::begin, "First position."),
               field("end", &Retention::end, "Behind the last position; -1 = the end of the sequence."),
               field("priority", &Retention::priority, "0 (first to go) to 100."),
               field("time_to_live_ms", &Retention::time_to_live,
                     "Falls back to priority 35 this long after the request's end; None = never."));

  py::class_<LogitsWanted> logits(module, "LogitsWanted", "Which raw logits a request returns.");
  bind_options(
      logits, field("context_positions", &LogitsWanted::context_positions, "Return the row behind each; ascending."),
      field("generated", &LogitsWanted::generated, "Return the row from which each generated token was chosen."));

  using R = Request;
  py::class_<R> request(module, "Request", "One request to an executor.");
  bind_options(request, field("context", &R::context, "The whole context; the executor reuses what is resident."),
               field("output_start", &R::output_start, "Where generated text began; -1 = the context's end."),
               field("max_new_tokens", &R::max_new_tokens, "0 = prefill only."),
               field("sampling", &R::sampling, "How tokens are chosen."),
               field("stop_tokens", &R::stop_tokens, "Generation ends with, and includes, the first of these."),
               field("constraint", &R::constraint, "State before context[output_start]; the executor clones it."),
               field("priority", &R::priority, "In [0, 1]; below REQUEST_PRIORITY is idle work."),
               field("key", &R::key, "Whose KV may be reused."),
               field("owner", &R::owner, "Who keeps the KV alive; NO_OWNER = nobody."),
               field("retention", &R::retention, "Empty = priority 35 for everything."),
               field("logits", &R::logits, "Which raw logits to return."),
               field("top_logprobs", &R::top_logprobs, "The n best ids with each generated token, 0..20."));
  module.attr("NO_OWNER") = kNoOwner;
  module.attr("NO_TOKEN") = kNoToken;
  module.attr("REQUEST_PRIORITY") = kRequestPriority;
}

}  // namespace poise::bindings
