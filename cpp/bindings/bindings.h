// The pieces of poise._core. One file a concept; module.cpp calls each bind_x once, types before their users.
//
// Rules for every binding:
//   - Release the GIL in each call that may wait or take a lock (py::call_guard<py::gil_scoped_release>()), and in
//     destructors of what owns a thread (py::release_gil_before_calling_cpp_dtor).
//   - A Python callback is called with the GIL and never lets an exception into a C++ thread: see sink.cpp.
//   - Names are the C++ ones; durations are floats whose name ends in _ms (fields.h).
#pragma once

#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>

#include "casters.h"
#include "fields.h"

namespace poise {
class Executor;
class Sink;
}  // namespace poise

namespace poise::bindings {

namespace py = pybind11;

void bind_errors(py::module_& module);
void bind_sampling(py::module_& module);
void bind_scan(py::module_& module);
void bind_constraint(py::module_& module);
void bind_request(py::module_& module);
void bind_results(py::module_& module);
void bind_sink(py::module_& module);
void bind_collect_sink(py::module_& module);
void bind_executor(py::module_& module);
void bind_sim_executor(py::module_& module);
#ifdef POISE_HAS_LLAMA
void bind_llama_executor(py::module_& module);
#endif

/// Throws what a Python override has raised as the poise::Error of the same name, or as ExecutorError. Needs the GIL.
[[noreturn]] void throw_as_error(const py::error_already_set& raised);

/// A Python sink behind a wall: an exception in it is printed as unraisable and ends that request with reason error.
/// Other sinks are returned as they are. `executor` must outlive the request.
std::shared_ptr<Sink> guarded(std::shared_ptr<Sink> sink, Executor& executor);

/// Shuts the executor down before the interpreter goes, so that none of its threads asks for the GIL afterwards.
void shut_down_at_exit(const std::shared_ptr<Executor>& executor);

}  // namespace poise::bindings
