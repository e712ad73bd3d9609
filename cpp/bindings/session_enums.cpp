#include "bindings.h"
#include "poise/session.h"
#include "session_bindings.h"

namespace poise::bindings {

void bind_session_enums(py::module_& module) {
  py::native_enum<Path>(module, "Path", "enum.Enum", "How a first token was produced, cheapest first.")
      .value("ready", Path::ready, "The request equals an entry: one vocabulary scan.")
      .value("gate", Path::gate, "The gate answered from a ready distribution.")
      .value("entry", Path::entry, "The request extends an entry: only the delta was prefilled.")
      .value("prefix", Path::prefix, "Resident log, no entry fits.")
      .value("cold", Path::cold, "Rebuilt by prefill.")
      .finalize();
  py::native_enum<AnticipationKind>(module, "AnticipationKind", "enum.Enum", "What is guessed about the next request.")
      .value("turn", AnticipationKind::turn, "Only the template's framing is known.")
      .value("question", AnticipationKind::question, "Registered: all of it is known.")
      .value("tool_result", AnticipationKind::tool_result, "The pending call's envelope and likely contents.")
      .value("partial", AnticipationKind::partial, "Text that is still being typed.")
      .value("hint", AnticipationKind::hint, "Sent by the client.")
      .finalize();
  py::native_enum<AnticipationSource>(module, "AnticipationSource", "enum.Enum", "Where a guess comes from.")
      .value("none", AnticipationSource::none)
      .value("declared", AnticipationSource::declared)
      .value("learned", AnticipationSource::learned)
      .value("model", AnticipationSource::model)
      .value("client", AnticipationSource::client)
      .finalize();
  py::native_enum<EntryPlacement>(module, "EntryPlacement", "enum.Enum", "Where an entry's KV is.")
      .value("resident", EntryPlacement::resident, "Behind the log, in the session's own sequence.")
      .value("branch", EntryPlacement::branch, "In a sequence of its own.")
      .value("detached", EntryPlacement::detached, "Nowhere: distribution and continuation are kept.")
      .finalize();
  py::native_enum<EntryOutcome>(module, "EntryOutcome", "enum.Enum", "How an entry ended.")
      .value("used", EntryOutcome::used)
      .value("stale", EntryOutcome::stale)
      .value("evicted", EntryOutcome::evicted)
      .value("cancelled", EntryOutcome::cancelled)
      .finalize();
}

}  // namespace poise::bindings
