// poise::Error and its children as Python exceptions of the same names.
#include "poise/error.h"

#include <array>

#include "bindings.h"

namespace poise::bindings {
namespace {

/// One exception type of the module. The handles live as long as the process.
enum Kind {
  error,
  invalid_argument,
  context_overflow,
  not_found,
  conflict,
  resource_exhausted,
  model_error,
  scan_error,
  executor_error,
  kind_count
};
std::array<py::handle, kind_count> types;

Kind kind_of(const Error& raised) {
  if (dynamic_cast<const ContextOverflow*>(&raised) != nullptr) return context_overflow;
  if (dynamic_cast<const InvalidArgument*>(&raised) != nullptr) return invalid_argument;
  if (dynamic_cast<const NotFound*>(&raised) != nullptr) return not_found;
  if (dynamic_cast<const Conflict*>(&raised) != nullptr) return conflict;
  if (dynamic_cast<const ResourceExhausted*>(&raised) != nullptr) return resource_exhausted;
  if (dynamic_cast<const ModelError*>(&raised) != nullptr) return model_error;
  if (dynamic_cast<const ScanError*>(&raised) != nullptr) return scan_error;
  if (dynamic_cast<const ExecutorError*>(&raised) != nullptr) return executor_error;
  return error;
}

void define(py::module_& module, Kind kind, const char* name, const py::object& bases, const char* doc) {
  const std::string full_name = "poise._core." + std::string(name);
  PyObject* const type = PyErr_NewExceptionWithDoc(full_name.c_str(), doc, bases.ptr(), nullptr);
  if (type == nullptr) {
    throw py::error_already_set();
  }
  types[kind] = type;  // the module holds a second reference
  module.add_object(name, type);
}

}  // namespace

void bind_errors(py::module_& module) {
  const auto with = [](PyObject* builtin) {
    return py::make_tuple(types[error], py::reinterpret_borrow<py::object>(builtin));
  };
  define(module, error, "Error", py::reinterpret_borrow<py::object>(PyExc_Exception),
         "Root of everything that Poise raises on purpose.");
  const auto root = py::reinterpret_borrow<py::object>(types[error]);
  define(module, invalid_argument, "InvalidArgument", with(PyExc_ValueError),
         "A value that no state of the system would accept. Nothing was changed.");
  define(module, context_overflow, "ContextOverflow", py::reinterpret_borrow<py::object>(types[invalid_argument]),
         "The request cannot fit into the context. Raised before KV is touched.");
  // Not a KeyError: that one prints its message quoted.
  define(module, not_found, "NotFound", with(PyExc_LookupError),
         "The session, turn or anticipation is unknown, closed, or another tenant's.");
  define(module, conflict, "Conflict", root, "A second concurrent writer. The first one goes on undisturbed.");
  define(module, resource_exhausted, "ResourceExhausted", root,
         "A cap on memory, sessions or sequences was reached; checked before allocation.");
  define(module, model_error, "ModelError", root,
         "The model file is missing, damaged or of a kind that the executor cannot serve.");
  define(module, scan_error, "ScanError", root, "A row without an answer: not-a-number logits, or every id masked.");
  define(module, executor_error, "ExecutorError", root,
         "The executor failed in the middle of a step, or is shut down. The session keeps its log.");

  py::register_exception_translator([](std::exception_ptr raised) {
    try {
      std::rethrow_exception(raised);
    } catch (const Error& poise_error) {
      py::set_error(types[kind_of(poise_error)], poise_error.what());
    }
  });
}

void throw_as_error(const py::error_already_set& raised) {
  const auto message = py::str(raised.value()).cast<std::string>();
  if (raised.matches(types[context_overflow])) throw ContextOverflow(message);
  if (raised.matches(types[invalid_argument])) throw InvalidArgument(message);
  if (raised.matches(types[not_found])) throw NotFound(message);
  if (raised.matches(types[conflict])) throw Conflict(message);
  if (raised.matches(types[resource_exhausted])) throw ResourceExhausted(message);
  if (raised.matches(types[model_error])) throw ModelError(message);
  if (raised.matches(types[scan_error])) throw ScanError(message);
  if (raised.matches(types[executor_error])) throw ExecutorError(message);
  throw ExecutorError(raised.what());
}

}  // namespace poise::bindings
