#include "poise/journal.h"

#include "bindings.h"
#include "session_bindings.h"

namespace poise::bindings {
namespace {

/// A journal written in Python. Its exceptions become poise::Error in C++, and the commit does not happen.
class PyJournal final : public Journal, public py::trampoline_self_life_support {
 public:
  void write(const JournalRecord& record) override {
    const py::gil_scoped_acquire gil;
    const py::function override = py::get_override(static_cast<const Journal*>(this), "write");
    if (!override) throw Error("the Python journal does not implement write(record)");
    try {
      override(record);
    } catch (const py::error_already_set& raised) {
      throw_as_error(raised);
    }
  }
};

}  // namespace

void bind_journal(py::module_& module) {
  using R = JournalRecord;
  py::class_<R> record(module, "JournalRecord", "One commit to one session's log.");
  py::native_enum<R::Kind>(record, "Kind", "enum.Enum", "What was committed.")
      .value("open", R::Kind::open)
      .value("append", R::Kind::append)
      .value("turn", R::Kind::turn)
      .value("rebase", R::Kind::rebase)
      .value("close", R::Kind::close)
      .finalize();
  bind_options(record, field("kind", &R::kind, "What was committed."), field("session", &R::session, "Its id."),
               field("tenant", &R::tenant, "Who owns it."),
               field("data_version", &R::data_version, "After this record."),
               field("base", &R::base, "The log is cut to this length, then `tokens` follow."),
               field("tokens", &R::tokens, "What was committed."),
               field("messages", &R::messages, "Absolute spans inside the log."));

  using Release = py::call_guard<py::gil_scoped_release>;
  py::classh<Journal, PyJournal>(module, "Journal",
                                 "What is written before it is acknowledged. Subclass it and override write().",
                                 py::release_gil_before_calling_cpp_dtor())
      .def(py::init<>())
      .def("write", &Journal::write, py::arg("record"), Release(),
           "Returns when the record is as durable as promised; if it raises, the commit does not happen. Called from "
           "any thread; must not call the session manager.");
  py::classh<MemoryJournal, Journal>(module, "MemoryJournal", "Keeps all records in memory.")
      .def(py::init<>())
      .def("records", &MemoryJournal::records, Release(), "All records, in order.")
      .def("replay", &MemoryJournal::replay, py::arg("session"), Release(),
           "The log of a session as its records rebuild it; None if unknown or closed.");
}

}  // namespace poise::bindings
