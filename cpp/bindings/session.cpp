// What a caller says to a session, and what a session answers: the structs of session.h.
#include "poise/session.h"

#include "bindings.h"
#include "session_bindings.h"

namespace poise::bindings {
namespace {

void bind_open(py::module_& module) {
  using H = ThoughtOptions;
  py::class_<H> thought(module, "ThoughtOptions",
                        "How a model marks its thoughts, and how far they are decoded ahead.");
  bind_options(thought, field("begin", &H::begin, "Ids that open a thought."),
               field("end", &H::end, "Ids that close it."),
               field("tokens", &H::tokens, "Cap of thought decoded ahead, at least 0."));

  using W = WindowOptions;
  py::class_<W> window(module, "WindowOptions", "Keeps a log within a length by dropping its oldest data.");
  bind_options(window, field("head_tokens", &W::head_tokens, "Stay for ever; widened to the end of a message."),
               field("keep_tokens", &W::keep_tokens, "Length after a drop, head included."),
               field("max_tokens", &W::max_tokens, "The log never exceeds it."),
               field("automatic", &W::automatic, "append and turn call slide() by themselves."));

  using D = WindowDrop;
  py::class_<D> drop(module, "WindowDrop", "What a slide has taken out of the log: tokens [begin, end).");
  bind_result(drop, field("begin", &D::begin, "First token that was dropped."),
              field("end", &D::end, "First token behind them that stayed."),
              field("first_message", &D::first_message, "Index of the first message that was dropped."),
              field("message_count", &D::message_count, "How many messages were dropped."),
              field("prepared", &D::prepared, "Its KV was ready: nothing is left to prefill."));
  using M = MessageSpan;
  py::class_<M> span(module, "MessageSpan", "One message of a log: tokens [begin, end).");
  bind_options(span, field("role", &M::role, "Who said it."),
               field("digest", &M::digest, "Canonical digest that recognises it when it is resent; may be empty."),
               field("begin", &M::begin, "In a request or append: relative to its tokens; in a session: absolute."),
               field("end", &M::end, "Half open."));

  using O = OpenOptions;
  py::class_<O> open(module, "OpenOptions", "How a session starts.");
  bind_options(open, field("tenant", &O::tenant, "Who owns it. Tenants share nothing."),
               field("adapter_id", &O::adapter_id, "LoRA adapter; 0 = none."),
               field("adapter_scale", &O::adapter_scale, "Scale of the adapter."),
               field("text_salt", &O::text_salt, "Sessions that differ in it share no KV."),
               field("tokens", &O::tokens, "First content of the log; may be empty."),
               field("messages", &O::messages, "Message spans inside `tokens`."),
               field("retention_priority", &O::retention_priority, "Of the log's KV, 36 to 100."),
               field("time_to_live_ms", &O::time_to_live, "Of the log's KV after the last use; None = no limit."),
               field("preposition", &O::preposition, "False: idle time is never spent on this session."),
               field("base_prefix", &O::base_prefix, "A declared beginning: hidden, prefilled once for its tenant."),
               field("continuation_tokens", &O::continuation_tokens, "Tokens that entries are decoded ahead."),
               field("sampling", &O::sampling, "The sampling that entries expect."),
               field("stop_tokens", &O::stop_tokens, "Where a continuation ends; empty = the model's end tokens."),
               field("thought", &O::thought, "None: thoughts are decoded ahead like any other text."),
               field("window", &O::window, "None: the log grows until the context is full."));
}

void bind_anticipation(py::module_& module) {
  using A = Anticipation;
  py::class_<A> guess(module, "Anticipation", "A guess at what the next request adds, as token ids.");
  bind_options(guess, field("kind", &A::kind, "What is guessed."),
               field("source", &A::source, "Where the guess comes from."),
               field("tokens", &A::tokens, "What would follow the log; at least one id."),
               field("decides", &A::decides, "Ends at the decision point; False: framing that is prefilled only."),
               field("completion_tokens", &A::completion_tokens,
                     "At most this many tokens of the guess are written by the model."),
               field("completion_stops", &A::completion_stops, "Ids that end the model's part."),
               field("suffix", &A::suffix, "Follows the model's part, up to the decision point."),
               field("constraint", &A::constraint, "Of the answer: it is decoded ahead under it; None = all allowed."),
               field("weight", &A::weight, "The caller's belief among guesses of this kind, [0, 1]."),
               field("persistent", &A::persistent, "Computed again behind each new version (a registered question)."),
               field("may_branch", &A::may_branch, "May use a sequence of its own if that pays."),
               field("replaces", &A::replaces, "Takes the place of this anticipation; 0 = of none."),
               field("label", &A::label, "Free text that comes back in events."));

  using G = GateOptions;
  py::class_<G> gate(module, "GateOptions", "The gate, uncertified: threshold and answers named by the caller.");
  bind_options(gate, field("gap_threshold", &G::gap_threshold, "Logits; finite, at least 0."),
               field("answer_set", &G::answer_set, "At least two ids."));
}

void bind_turn(py::module_& module) {
  using R = TurnRequest;
  py::class_<R> request(module, "TurnRequest", "A request for tokens.");
  bind_options(request, field("tokens", &R::tokens, "What the request adds behind the log, or behind `rebase_to`."),
               field("messages", &R::messages, "Message spans inside `tokens`."),
               field("rebase_to", &R::rebase_to, "Replaces the log from this position on; None: extends it."),
               field("durable", &R::durable, "False: commits nothing."),
               field("max_new_tokens", &R::max_new_tokens, "Upper bound of the answer's length."),
               field("sampling", &R::sampling, "How tokens are chosen."),
               field("stop_tokens", &R::stop_tokens, "End the answer; empty = the model's end tokens."),
               field("constraint", &R::constraint, "Which ids are allowed, in its initial state; None = all."),
               field("top_logprobs", &R::top_logprobs, "The n best ids with each token, 0 to 20."),
               field("gate", &R::gate, "Lets the gate answer; None: it never does."),
               field("keep_partial", &R::keep_partial, "A cancelled durable turn commits what it has."),
               field("use_entries", &R::use_entries, "False: answers as plain prefix caching would."),
               field("answer_role", &R::answer_role, "Role of the committed answer."));

  using S = TurnStart;
  py::class_<S> start(module, "TurnStart", "First event of a turn: how its first token is produced.");
  bind_result(start, field("turn", &S::turn, "The turn's number."), field("path", &S::path, "How."),
              field("source", &S::source, "Where the consumed entry came from."),
              field("kind", &S::kind, "Of the consumed entry, or None."),
              field("label", &S::label, "Of the consumed entry."),
              field("placement", &S::placement, "Of the consumed entry."),
              field("data_version", &S::data_version, "The version that the answer saw."),
              field("prepositioned_tokens", &S::prepositioned_tokens, "Of the request's tokens: prepaid by an entry."),
              field("continuation_tokens", &S::continuation_tokens, "Answer tokens that were already there."),
              field("thought_tokens", &S::thought_tokens, "Of the continuation: inside a thought."),
              field("delta_tokens", &S::delta_tokens, "Of the request's tokens: new."),
              field("gap", &S::gap, "Logit gap of the ready distribution, on ready and gate."),
              field("gap_threshold", &S::gap_threshold, "On gate."),
              field("entry_age_ms", &S::entry_age_ms, "Age of the consumed entry."));

  using T = TurnToken;
  py::class_<T> token(module, "TurnToken", "One token of an answer.");
  bind_result(token, field("index", &T::index, "0-based among the answer's tokens."),
              field("token", &T::token, "The id."), field("logprob", &T::logprob, "Natural log-probability."),
              field("prepositioned", &T::prepositioned, "Came from an entry."),
              field("forced", &T::forced, "The constraint left no choice."),
              field("top_logprobs", &T::top_logprobs, "The best ids, best first."));

  using E = TurnEnd;
  py::class_<E> end(module, "TurnEnd", "Last event of a turn: why it ended, and what it cost.");
  bind_result(end, field("reason", &E::reason, "Why it ended."), field("error", &E::error, "Set if reason is error."),
              field("answer", &E::answer, "With the completing stop token, as committed."),
              field("data_version", &E::data_version, "After the commit."),
              field("context_tokens", &E::context_tokens, "Log and request."),
              field("reused_tokens", &E::reused_tokens, "Of the context: resident."),
              field("prefilled_tokens", &E::prefilled_tokens, "Computed before the first token."),
              field("reprefilled_tokens", &E::reprefilled_tokens, "Computed again after the first token was out."),
              field("decoded_tokens", &E::decoded_tokens, "Answer tokens decoded for this turn."),
              field("first_token_ms", &E::first_token, "Request to first token."),
              field("total_ms", &E::total, "Request to end."));
}

void bind_states(py::module_& module) {
  using R = AppendResult;
  py::class_<R> append(module, "AppendResult", "An acknowledged append.");
  bind_result(append, field("data_version", &R::data_version, "After the append."),
              field("queued", &R::queued, "A durable turn runs: joins the log when it has committed."),
              field("advanced_entries", &R::advanced_entries, "Guesses that this append has confirmed so far."));

  using E = EntryState;
  py::class_<E> entry(module, "EntryState", "An entry, as it stands.");
  bind_result(
      entry, field("id", &E::id, "Of the anticipation."), field("kind", &E::kind, "What is guessed."),
      field("source", &E::source, "Where the guess comes from."), field("placement", &E::placement, "Where its KV is."),
      field("label", &E::label, "The caller's."), field("tokens", &E::tokens, "How many stand behind the log."),
      field("continuation_tokens", &E::continuation_tokens, "Pre-decoded."),
      field("thought_tokens", &E::thought_tokens, "Of the continuation: inside a thought."),
      field("decides", &E::decides, "Ends at a decision point."), field("ready", &E::ready, "Has its distribution."),
      field("gap", &E::gap, "Logits, best to second best."), field("top1", &E::top1, "The best id; -1 if none."),
      field("data_version", &E::data_version, "The version that it stands behind."));

  using P = PrefixUse;
  py::class_<P> prefix(module, "PrefixUse", "What a base prefix has spared the sessions that began with it.");
  bind_result(prefix, field("sessions_started", &P::sessions_started, "Sessions that found it resident."),
              field("tokens_saved", &P::tokens_saved, "Found resident where they would have been prefilled."),
              field("time_saved_ms", &P::time_saved, "Measured prefill cost, less that of the copies."),
              field("estimated", &P::estimated, "The executor does not tell one of these costs."));

  using S = SessionState;
  py::class_<S> state(module, "SessionState", "A session, as it stands.");
  bind_result(state, field("id", &S::id, "32 hexadecimal digits."), field("tenant", &S::tenant, "Who owns it."),
              field("log", &S::log, "The committed ids."),
              field("messages", &S::messages, "Absolute spans of the log."),
              field("data_version", &S::data_version, "Counts commits."),
              field("resident_version", &S::resident_version, "Newest version whose whole log is in KV."),
              field("resident_tokens", &S::resident_tokens, "Of the log, in KV."),
              field("window_dropped_tokens", &S::window_dropped_tokens, "By all slides so far."),
              field("window_prepared", &S::window_prepared, "The next slide has its KV."),
              field("busy", &S::busy, "A durable turn runs."),
              field("idle_error", &S::idle_error, "Why idle work on it stopped; empty if it did not."),
              field("base_prefix", &S::base_prefix, "A declared beginning."),
              field("prefix_use", &S::prefix_use, "Of a base prefix."), field("entries", &S::entries, "Its entries."));
}

}  // namespace

void bind_session_types(py::module_& module) {
  bind_open(module);
  bind_anticipation(module);
  bind_turn(module);
  bind_states(module);
}

}  // namespace poise::bindings
