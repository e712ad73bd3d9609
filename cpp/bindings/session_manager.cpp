#include "poise/session_manager.h"

#include "bindings.h"
#include "session_bindings.h"
#include "turn_stream.h"

namespace poise::bindings {
namespace {

void bind_manager_options(py::module_& module) {
  using O = ManagerOptions;
  py::class_<O> options(module, "ManagerOptions", "Caps and switches of a SessionManager.");
  bind_options(options, field("max_sessions", &O::max_sessions, "Of all tenants."),
               field("max_sessions_per_tenant", &O::max_sessions_per_tenant, "Of one tenant."),
               field("max_base_prefixes_per_tenant", &O::max_base_prefixes_per_tenant, "Declared by one tenant."),
               field("max_entries_per_session", &O::max_entries_per_session, "Anticipations of one session."),
               field("max_entry_bytes", &O::max_entry_bytes, "Distributions and continuations of all sessions."),
               field("preposition", &O::preposition, "False: a plain prefix-caching session store."),
               field("idle_thread", &O::idle_thread, "False: idle work starts only in run_idle()."),
               field("idle", &O::idle, "Budgets of idle work."),
               field("seed", &O::seed, "Of ids and fresh seeds; None = the system's randomness."));
}

}  // namespace

void bind_session_manager(py::module_& module) {
  bind_manager_options(module);
  using M = SessionManager;
  using Release = py::call_guard<py::gil_scoped_release>;
  py::classh<M>(module, "SessionManager",
                "Tokens in, tokens out: keeps sessions alive on an executor and spends its idle time so that the next "
                "request finds its first token already there. Thread-safe. Methods raise NotFound for a session that "
                "is unknown or closed.",
                py::release_gil_before_calling_cpp_dtor())
      .def(py::init([](std::shared_ptr<Executor> executor, const ManagerOptions& options,
                       std::shared_ptr<Journal> journal, std::shared_ptr<Clock> clock) {
             return std::make_shared<M>(std::move(executor), options, std::move(journal), std::move(clock));
           }),
           py::arg("executor"), py::arg_v("options", ManagerOptions{}, "..."), py::arg("journal") = py::none(),
           py::arg("clock") = py::none(), Release(),
           "journal None: nothing is written; clock None: the machine's. Raises InvalidArgument.")
      .def("open", &M::open, py::arg_v("options", OpenOptions{}, "..."), Release(),
           "Opens a session and returns its id. Raises ContextOverflow, ResourceExhausted, InvalidArgument.")
      .def(
          "append",
          [](M& self, const SessionId& session, const Tokens& tokens, std::vector<MessageSpan> messages) {
            return self.append(session, tokens, std::move(messages));
          },
          py::arg("session"), py::arg("tokens"), py::arg_v("messages", std::vector<MessageSpan>{}, "[]"), Release(),
          "Adds data that asks nothing; acknowledged when it returns. Raises InvalidArgument or ContextOverflow, the "
          "session unchanged.")
      .def(
          "rebase",
          [](M& self, const SessionId& session, Position base, const Tokens& tokens,
             std::vector<MessageSpan> messages) { return self.rebase(session, base, tokens, std::move(messages)); },
          py::arg("session"), py::arg("base"), py::arg("tokens"),
          py::arg_v("messages", std::vector<MessageSpan>{}, "[]"), Release(),
          "Replaces the log from `base` on; what is new is prefilled in idle time. Raises InvalidArgument, "
          "ContextOverflow or Conflict (a durable turn runs), the session unchanged.")
      .def("slide", &M::slide, py::arg("session"), py::arg("room") = 0, Release(),
           "Drops a window session's oldest data if the shortened log is prepared, or if log + `room` tokens would "
           "exceed max_tokens; None if there was nothing to do. Raises Conflict while a durable turn runs.")
      .def(
          "turn",
          [](const std::shared_ptr<M>& self, const SessionId& session, TurnRequest request) {
            return std::make_shared<TurnStream>(self, session, std::move(request));
          },
          py::arg("session"), py::arg("request"), Release(),
          "Asks for tokens. Raises Conflict, ContextOverflow, InvalidArgument before anything is emitted; later "
          "failures are a TurnEnd with reason error.")
      .def("cancel", &M::cancel, py::arg("turn"), Release(), "Discards a running turn. Ended turns are ignored.")
      .def("stop_at", &M::stop_at, py::arg("turn"), py::arg("answer_tokens"), Release(),
           "Ends a running turn as stopped after its first tokens and commits those. Raises InvalidArgument if fewer "
           "were emitted.")
      .def("anticipate", &M::anticipate, py::arg("session"), py::arg("anticipation"), Release(),
           "Declares a guess and returns its id; equal guesses share one. Raises InvalidArgument, ContextOverflow, "
           "ResourceExhausted.")
      .def("retract", &M::retract, py::arg("session"), py::arg("anticipation"), Release(),
           "Takes a guess back. Unknown ids are ignored.")
      .def("fork", &M::fork, py::arg("session"), py::arg("tokens") = py::none(), Release(),
           "A new session whose log starts as the first `tokens` ids of this one's, or all of them.")
      .def("close", &M::close, py::arg("session"), Release(), "Cancels its work, drops its entries, frees its KV.")
      .def("state", &M::state, py::arg("session"), Release(), "A copy of the session's state.")
      .def("sessions", &M::sessions, py::arg("tenant") = "default", Release(), "Ids of a tenant's open sessions.")
      .def("counters", &M::counters, Release(), "A copy of the counters.")
      .def_property_readonly(
          "executor", [](const M& self) { return self.executor(); }, "The executor below.")
      .def("run_idle", &M::run_idle, Release(),
           "Starts at most one idle job now. False if none is affordable or the executor is busy.")
      .def(
          "wait_prepositioned",
          [](M& self, double timeout_ms) { return self.wait_prepositioned(from_ms(timeout_ms, "timeout_ms")); },
          py::arg("timeout_ms"), Release(),
          "Waits until entries are as ready as they get, or the timeout; returns whether they are. Needs the idle "
          "thread.");
}

}  // namespace poise::bindings
