#include "poise/counters.h"

#include "bindings.h"
#include "session_bindings.h"

namespace poise::bindings {
namespace {

struct Plain {
  const char* name;
  std::uint64_t Counters::* member;
  const char* doc;
};

constexpr Plain kPlain[] = {
    {"sessions_open", &Counters::sessions_open, "Now."},
    {"base_prefixes", &Counters::base_prefixes, "Now."},
    {"entries", &Counters::entries, "Now."},
    {"entry_bytes", &Counters::entry_bytes, "Now: distributions and continuations."},
    {"turns_durable", &Counters::turns_durable, "Turns that commit."},
    {"turns_ephemeral", &Counters::turns_ephemeral, "Turns that commit nothing."},
    {"turns_cancelled", &Counters::turns_cancelled, "Turns ended by cancel."},
    {"turns_failed", &Counters::turns_failed, "Turns ended by an error."},
    {"appends", &Counters::appends, "Acknowledged appends."},
    {"commits", &Counters::commits, "Commits to logs."},
    {"rebases", &Counters::rebases, "Commits that replaced a log's tail."},
    {"forks", &Counters::forks, "Sessions made from another one."},
    {"conflicts", &Counters::conflicts, "Refused second writers."},
    {"window_slides", &Counters::window_slides, "Drops of a window session's oldest data."},
    {"window_slides_unprepared", &Counters::window_slides_unprepared, "Of those: a request had to prefill."},
    {"window_dropped_tokens", &Counters::window_dropped_tokens, "Tokens that slides took out of logs."},
    {"entries_advanced", &Counters::entries_advanced, "Guesses that an append has confirmed."},
    {"gate_asked", &Counters::gate_asked, "Turns that allowed the gate."},
    {"gate_fired", &Counters::gate_fired, "Turns that the gate answered."},
    {"gate_refused", &Counters::gate_refused, "Turns on which it had an entry and did not fire."},
    {"scans_head", &Counters::scans_head, "Scans answered by a kept head."},
    {"scans_full", &Counters::scans_full, "Scans of a whole row."},
    {"idle_jobs", &Counters::idle_jobs, "Idle jobs started."},
    {"idle_jobs_cancelled", &Counters::idle_jobs_cancelled, "Idle jobs that a request ended."},
    {"idle_jobs_failed", &Counters::idle_jobs_failed, "Idle jobs that the executor failed."},
    {"idle_prefilled_tokens", &Counters::idle_prefilled_tokens, "Prepaid."},
    {"idle_decoded_tokens", &Counters::idle_decoded_tokens, "Prepaid."},
    {"idle_thought_tokens", &Counters::idle_thought_tokens, "Of the decoded ones: inside a thought."},
    {"used_prefilled_tokens", &Counters::used_prefilled_tokens, "Of the prepaid tokens: used by requests."},
    {"used_decoded_tokens", &Counters::used_decoded_tokens, "Of the prepaid tokens: used by requests."},
    {"request_prefilled_tokens", &Counters::request_prefilled_tokens, "Computed while a client waited."},
    {"request_decoded_tokens", &Counters::request_decoded_tokens, "Computed while a client waited."},
    {"prefix_sessions_started", &Counters::prefix_sessions_started, "Sessions that began with a base prefix."},
    {"prefix_tokens_saved", &Counters::prefix_tokens_saved, "Of them: tokens found resident in place of a prefill."},
};

template <typename Enum>
const char* name_of(std::size_t index) {
  return to_string(static_cast<Enum>(index));
}

py::typing::Dict<py::str, int> turns_by_path(const Counters& counters) {
  py::dict turns;
  for (std::size_t i = 0; i < kPathCount; ++i) turns[name_of<Path>(i)] = counters.turns_by_path[i];
  return turns;
}

py::typing::Dict<py::str, py::typing::Dict<py::str, int>> entry_outcomes(const Counters& counters) {
  py::dict outcomes;
  for (std::size_t i = 0; i < kEntryOutcomeCount; ++i) {
    py::dict kinds;
    for (std::size_t k = 0; k < kAnticipationKindCount; ++k) {
      kinds[name_of<AnticipationKind>(k)] = counters.entry_outcomes[i][k];
    }
    outcomes[name_of<EntryOutcome>(i)] = std::move(kinds);
  }
  return outcomes;
}

py::typing::Dict<py::str, py::object> as_dict(const Counters& counters) {
  py::dict all;
  for (const Plain& plain : kPlain) all[plain.name] = counters.*plain.member;
  all["turns_by_path"] = turns_by_path(counters);
  all["entry_outcomes"] = entry_outcomes(counters);
  all["idle_time_ms"] = to_ms(counters.idle_time);
  return all;
}

}  // namespace

void bind_counters(py::module_& module) {
  py::class_<Counters> counters(module, "Counters", "What a SessionManager counts: monotonic unless it says \"now\".");
  for (const Plain& plain : kPlain) {
    counters.def_property_readonly(
        plain.name, [member = plain.member](const Counters& self) { return self.*member; }, plain.doc);
  }
  counters.def_property_readonly("turns_by_path", &turns_by_path, "Started turns, by the name of their path.")
      .def_property_readonly("entry_outcomes", &entry_outcomes, "Ended entries, by outcome, then by kind.")
      .def_property_readonly(
          "idle_time_ms", [](const Counters& self) { return to_ms(self.idle_time); }, "Executor time of idle work.")
      .def(
          "turns", [](const Counters& self, Path path) { return self.turns(path); }, py::arg("path"),
          "Started turns of one path.")
      .def("as_dict", &as_dict, "Everything, as nested dictionaries of names.")
      .def("__repr__", [](const Counters& self) { return "Counters(" + std::string(py::repr(as_dict(self))) + ")"; });
}

}  // namespace poise::bindings
