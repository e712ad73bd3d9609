// What an executor tells: tokens, completions, its facts and its counters.
#include "bindings.h"
#include "poise/executor.h"

namespace poise::bindings {
namespace {

void bind_enums(py::module_& module) {
  py::native_enum<FinishReason>(module, "FinishReason", "enum.Enum", "Why a request ended.")
      .value("stop", FinishReason::stop, "A stop token was generated.")
      .value("length", FinishReason::length, "max_new_tokens were generated.")
      .value("constraint", FinishReason::constraint, "The constraint allows nothing more.")
      .value("prefilled", FinishReason::prefilled, "No tokens were asked for.")
      .value("cancelled", FinishReason::cancelled)
      .value("error", FinishReason::error)
      .finalize();
  py::native_enum<Reuse>(module, "Reuse", "enum.Enum", "How much of an equal context an executor reuses.")
      .value("exact", Reuse::exact)
      .value("one_token_short", Reuse::one_token_short)
      .finalize();
  py::native_enum<Device>(module, "Device", "enum.Enum", "Where logits lie.")
      .value("host", Device::host)
      .value("device", Device::device)
      .finalize();
}

void bind_per_request(py::module_& module) {
  using T = GeneratedToken;
  py::class_<T> token(module, "GeneratedToken", "One token of an answer.");
  bind_options(token, field("token", &T::token, "The id."), field("position", &T::position, "Absolute."),
               field("logprob", &T::logprob, "Natural log-probability."),
               field("stats", &T::stats, "Statistics of the row it was chosen from."),
               field("top_logprobs", &T::top_logprobs, "The best ids, best first."),
               field("forced", &T::forced, "The constraint left no choice: no row, no draw."));

  using C = Completion;
  py::class_<C> completion(module, "Completion", "Why an ended request ended, and what it cost.");
  bind_options(completion, field("reason", &C::reason, "Why it ended."), field("error", &C::error, "Set on error."),
               field("reused_tokens", &C::reused_tokens, "Context tokens whose KV was resident."),
               field("copied_tokens", &C::copied_tokens, "Of those: copied from another sequence."),
               field("restored_tokens", &C::restored_tokens, "Of those: read back from where they were parked."),
               field("prefilled_tokens", &C::prefilled_tokens, "Context tokens computed for this request."),
               field("generated_tokens", &C::generated_tokens, "Tokens of the answer."),
               field("resident_tokens", &C::resident_tokens, "Length of the owner's resident sequence afterwards."),
               field("queued_ms", &C::queued, "Enqueue to first step."),
               field("prefill_ms", &C::prefill, "Executor time of its prefill steps."),
               field("decode_ms", &C::decode, "Executor time of its decode steps."));
}

void bind_info(py::module_& module) {
  using S = SplitEquality;
  py::class_<S> split(module, "SplitEquality", "For each option: does a split continuation equal an unsplit one?");
  bind_options(split, field("greedy", &S::greedy, ""), field("seeded_sampling", &S::seeded_sampling, ""),
               field("penalties", &S::penalties, ""), field("bias", &S::bias, ""),
               field("constraint", &S::constraint, ""), field("stop_tokens", &S::stop_tokens, ""),
               field("logprobs", &S::logprobs, ""));

  using I = ExecutorInfo;
  py::class_<I> info(module, "ExecutorInfo", "Facts that do not change while the executor lives.");
  bind_options(info, field("name", &I::name, "\"llama\", \"sim\", \"trtllm\"."),
               field("model_name", &I::model_name, "For people."),
               field("model_fingerprint", &I::model_fingerprint, "Hex digest over what decides the logits."),
               field("vocab_size", &I::vocab_size, "Ids are in [0, vocab_size)."),
               field("end_tokens", &I::end_tokens, "Ids that end generation by the model's own declaration."),
               field("block_tokens", &I::block_tokens, "Granularity of reuse."),
               field("max_sequences", &I::max_sequences, "Sequences resident at once."),
               field("max_context_tokens", &I::max_context_tokens, "Of one sequence, generated tokens included."),
               field("idle_quantum_tokens", &I::idle_quantum_tokens, "Prefill tokens that one idle step may compute."),
               field("reuse", &I::reuse, "How much of an equal context is reused."),
               field("logits_device", &I::logits_device, "Where logits lie."),
               field("can_roll_back", &I::can_roll_back, "False: a mismatch prefills anew."),
               field("split", &I::split, "What survives a split continuation."),
               field("kv_bytes", &I::kv_bytes, "Allocated for KV."),
               field("kv_bytes_per_token", &I::kv_bytes_per_token, "KV of one token."),
               field("memory_plan", &I::memory_plan, "One line for people."));
}

void bind_stats(py::module_& module) {
  using S = ExecutorStats;
  py::class_<S> stats(module, "ExecutorStats", "Monotonic counters and current values.");
  bind_options(stats, field("running_requests", &S::running_requests, "Now."),
               field("waiting_requests", &S::waiting_requests, "Now."), field("running_idle", &S::running_idle, "Now."),
               field("waiting_idle", &S::waiting_idle, "Now."), field("sequences_used", &S::sequences_used, "Now."),
               field("resident_tokens", &S::resident_tokens, "Now."), field("parked_tokens", &S::parked_tokens, "Now."),
               field("parked_bytes", &S::parked_bytes, "Now."), field("steps", &S::steps, "For requests."),
               field("idle_steps", &S::idle_steps, "For idle work."),
               field("interrupted_steps", &S::interrupted_steps, "Idle steps that a request broke off."),
               field("prefilled_tokens", &S::prefilled_tokens, "For requests."),
               field("decoded_tokens", &S::decoded_tokens, "For requests."),
               field("idle_prefilled_tokens", &S::idle_prefilled_tokens, "For idle work."),
               field("idle_decoded_tokens", &S::idle_decoded_tokens, "For idle work."),
               field("hole_tokens", &S::hole_tokens, "Throwaway tokens that filled holes of a batch."),
               field("copies", &S::copies, "Prefixes copied from another sequence."),
               field("parks", &S::parks, "Sequences moved to where they wait without a sequence."),
               field("restores", &S::restores, "Parked sequences read back."),
               field("evictions", &S::evictions, "KV thrown away under pressure."),
               field("rollbacks", &S::rollbacks, "Sequences cut in place."),
               field("busy_ms", &S::busy, "In request steps."), field("idle_busy_ms", &S::idle_busy, "In idle steps."),
               field("prefill_us_per_token", &S::prefill_us_per_token, "Measured, averaged."),
               field("decode_us_per_step", &S::decode_us_per_step, "Measured, averaged."),
               field("copy_us", &S::copy_us, "Of one prefix to another sequence, measured; 0 = not told."));
}

}  // namespace

void bind_results(py::module_& module) {
  bind_enums(module);
  bind_per_request(module);
  bind_info(module);
  bind_stats(module);
}

}  // namespace poise::bindings
