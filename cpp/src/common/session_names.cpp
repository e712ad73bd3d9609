// The words of the public enumerations, as metrics, events and reports write them.
#include "poise/session.h"

namespace poise {

const char* to_string(Path path) noexcept {
  switch (path) {
    case Path::ready:
      return "ready";
    case Path::gate:
      return "gate";
    case Path::entry:
      return "entry";
    case Path::prefix:
      return "prefix";
    case Path::cold:
      return "cold";
  }
  return "unknown";
}

const char* to_string(AnticipationKind kind) noexcept {
  switch (kind) {
    case AnticipationKind::turn:
      return "turn";
    case AnticipationKind::question:
      return "question";
    case AnticipationKind::tool_result:
      return "tool_result";
    case AnticipationKind::partial:
      return "partial";
    case AnticipationKind::hint:
      return "hint";
  }
  return "unknown";
}

const char* to_string(AnticipationSource source) noexcept {
  switch (source) {
    case AnticipationSource::none:
      return "none";
    case AnticipationSource::declared:
      return "declared";
    case AnticipationSource::learned:
      return "learned";
    case AnticipationSource::model:
      return "model";
    case AnticipationSource::client:
      return "client";
  }
  return "unknown";
}

const char* to_string(EntryPlacement placement) noexcept {
  switch (placement) {
    case EntryPlacement::resident:
      return "resident";
    case EntryPlacement::branch:
      return "branch";
    case EntryPlacement::detached:
      return "detached";
  }
  return "unknown";
}

const char* to_string(EntryOutcome outcome) noexcept {
  switch (outcome) {
    case EntryOutcome::used:
      return "used";
    case EntryOutcome::stale:
      return "stale";
    case EntryOutcome::evicted:
      return "evicted";
    case EntryOutcome::cancelled:
      return "cancelled";
  }
  return "unknown";
}

const char* to_string(FinishReason reason) noexcept {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::constraint:
      return "constraint";
    case FinishReason::prefilled:
      return "prefilled";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      return "error";
  }
  return "unknown";
}

}  // namespace poise
