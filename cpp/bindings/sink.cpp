// Sinks written in Python, and the wall between their exceptions and the executor's thread.
#include <pybind11/numpy.h>

#include <atomic>
#include <string>

#include "bindings.h"
#include "poise/executor.h"

namespace poise::bindings {
namespace {

/// A LogitsView that may outlive the call: the row is a copy.
struct PyLogitsView {
  Position position = 0;
  py::array_t<float> row;
};

/// A Python sink has raised; the exception was printed already.
class SinkRaised final : public ExecutorError {
 public:
  using ExecutorError::ExecutorError;
};

class PySink final : public Sink, public py::trampoline_self_life_support {
 public:
  void on_start(RequestId id, std::int32_t reused_tokens) override { call("on_start", id, reused_tokens); }
  void on_logits(RequestId id, const LogitsView& logits) override {
    call("on_logits", id, [&logits] {
      return PyLogitsView{logits.position,
                          py::array_t<float>(static_cast<py::ssize_t>(logits.row.size()), logits.row.data())};
    });
  }
  void on_token(RequestId id, const GeneratedToken& token) override { call("on_token", id, token); }
  void on_finish(RequestId id, const Completion& completion) override { call("on_finish", id, completion); }

 private:
  /// `value` is passed on, or called for what to pass on once the GIL is held.
  template <typename Value>
  void call(const char* method, RequestId id, const Value& value) {
    const py::gil_scoped_acquire gil;
    try {
      if (const py::function override = py::get_override(static_cast<const Sink*>(this), method)) {
        if constexpr (std::is_invocable_v<Value>) {
          override(id, value());
        } else {
          override(id, value);
        }
      }
    } catch (py::error_already_set& raised) {
      const std::string what = raised.what();
      raised.discard_as_unraisable(method);
      throw SinkRaised(std::string("the sink's ") + method + " raised " + what);
    }
  }
};

class GuardedSink final : public Sink {
 public:
  GuardedSink(std::shared_ptr<Sink> sink, Executor& executor) : sink_(std::move(sink)), executor_(executor) {}

  void on_start(RequestId id, std::int32_t reused_tokens) override {
    pass(id, [&] { sink_->on_start(id, reused_tokens); });
  }
  void on_logits(RequestId id, const LogitsView& logits) override {
    pass(id, [&] { sink_->on_logits(id, logits); });
  }
  void on_token(RequestId id, const GeneratedToken& token) override {
    pass(id, [&] { sink_->on_token(id, token); });
  }
  void on_finish(RequestId id, const Completion& completion) override {
    Completion told = completion;
    if (!raised_.empty()) {
      told.reason = FinishReason::error;
      told.error = raised_;
    }
    try {
      sink_->on_finish(id, told);
    } catch (const SinkRaised&) {  // printed; there is nothing left to end
    }
  }

 private:
  template <typename Call>
  void pass(RequestId id, const Call& call) {
    if (!raised_.empty()) {
      return;  // the request ends at the next step boundary
    }
    try {
      call();
    } catch (const SinkRaised& raised) {
      raised_ = raised.what();
      executor_.cancel(id);
    }
  }

  std::shared_ptr<Sink> sink_;
  Executor& executor_;
  std::string raised_;  ///< empty: nothing was raised
};

}  // namespace

std::shared_ptr<Sink> guarded(std::shared_ptr<Sink> sink, Executor& executor) {
  if (dynamic_cast<PySink*>(sink.get()) == nullptr) {
    return sink;
  }
  return std::make_shared<GuardedSink>(std::move(sink), executor);
}

void bind_sink(py::module_& module) {
  py::class_<PyLogitsView>(module, "LogitsView", "One raw row, shape [vocab_size].")
      .def(py::init([](Position position, py::array_t<float> row) { return PyLogitsView{position, std::move(row)}; }),
           py::kw_only(), py::arg("position"), py::arg("row"))
      .def_readonly("position", &PyLogitsView::position, "The row is the distribution of the token at this position.")
      .def_readonly("row", &PyLogitsView::row, "float32.");

  using Release = py::call_guard<py::gil_scoped_release>;
  py::classh<Sink, PySink>(
      module, "Sink",
      "Receives one request's results on the executor's thread. Must not block; may call enqueue, cancel and stats. An "
      "exception in it is printed and ends the request with reason error.")
      .def(py::init<>())
      .def("on_start", &Sink::on_start, py::arg("id"), py::arg("reused_tokens"), Release(),
           "The request left the queue; so many tokens of its context are resident.")
      .def(
          "on_logits",
          [](Sink& self, RequestId id, const PyLogitsView& logits) {
            const LogitsView view{.position = logits.position,
                                  .row = {logits.row.data(), static_cast<std::size_t>(logits.row.size())}};
            const py::gil_scoped_release release;
            self.on_logits(id, view);
          },
          py::arg("id"), py::arg("logits"), "A row that was asked for.")
      .def("on_token", &Sink::on_token, py::arg("id"), py::arg("token"), Release(), "A token was chosen.")
      .def("on_finish", &Sink::on_finish, py::arg("id"), py::arg("completion"), Release(),
           "Called exactly once. Override it.");
}

}  // namespace poise::bindings
