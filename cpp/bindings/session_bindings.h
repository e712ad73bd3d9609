// The session side of poise._core, in the order in which it must be registered: errors, sampling, constraint and
// executor come before bind_session_types().
#pragma once

#include <pybind11/pybind11.h>

namespace poise::bindings {

namespace py = pybind11;

void bind_clock(py::module_& module);
void bind_session_enums(py::module_& module);
void bind_idle(py::module_& module);  ///< after clock and session enums
void bind_session_types(py::module_& module);
void bind_journal(py::module_& module);  ///< after session types
void bind_counters(py::module_& module);
void bind_turn_stream(py::module_& module);      ///< after session types
void bind_session_manager(py::module_& module);  ///< last

}  // namespace poise::bindings
