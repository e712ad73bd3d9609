#include "turn_stream.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "bindings.h"
#include "session_bindings.h"

namespace poise::bindings {

std::optional<TurnEvent> TurnQueue::take() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  TurnEvent event = std::move(events_.front());
  events_.pop_front();
  signal();
  return event;
}

std::vector<TurnEvent> TurnQueue::take_all() {
  const std::lock_guard lock(mutex_);
  std::vector<TurnEvent> events(std::make_move_iterator(events_.begin()), std::make_move_iterator(events_.end()));
  events_.clear();
  signal();
  return events;
}

bool TurnQueue::wait(Duration timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [this] { return !events_.empty() || ended_; });
}

bool TurnQueue::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

int TurnQueue::fileno() {
  const std::lock_guard lock(mutex_);
  if (!wakeup_) {
    wakeup_ = std::make_unique<Wakeup>();
    signal();
  }
  return wakeup_->fileno();
}

void TurnQueue::push(TurnEvent event) {
  {
    const std::lock_guard lock(mutex_);
    ended_ = ended_ || std::holds_alternative<TurnEnd>(event);
    events_.push_back(std::move(event));
    signal();
  }
  changed_.notify_all();
}

void TurnQueue::signal() noexcept {
  if (!wakeup_) return;
  if (!events_.empty() || ended_) {
    wakeup_->raise();
  } else {
    wakeup_->lower();
  }
}

TurnStream::TurnStream(std::shared_ptr<SessionManager> manager, const SessionId& session, TurnRequest request)
    : manager_(std::move(manager)), turn_(manager_->turn(session, std::move(request), queue_)) {}

TurnStream::~TurnStream() {
  if (queue_->ended()) return;
  try {
    manager_->cancel(turn_);
  } catch (const std::exception&) {  // an executor that cannot cancel runs the turn to its end, unheard
  }
}

namespace {

// How long a wait lasts before it looks for Ctrl-C.
constexpr Duration kSignalInterval = std::chrono::milliseconds(100);

/// Waits without the GIL. Raises TimeoutError, or what a signal handler raises.
void wait_for_event(TurnQueue& queue, std::optional<double> timeout_s) {
  if (timeout_s && !(*timeout_s >= 0.0)) {
    throw InvalidArgument("timeout_s is " + std::to_string(*timeout_s) + ", must be at least 0, or None to wait");
  }
  const SteadyClock clock;
  const double limit_ms = timeout_s ? std::min(*timeout_s * 1e3, 1e12) : 1e12;
  const TimePoint deadline = clock.now() + from_ms(limit_ms, "timeout_s");
  for (;;) {
    bool arrived = false;
    bool late = false;
    {
      const py::gil_scoped_release release;
      const Duration left = std::max(deadline - clock.now(), Duration::zero());
      arrived = queue.wait(std::min(left, kSignalInterval));
      late = left <= kSignalInterval;
    }
    if (arrived) return;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (late) {
      PyErr_SetString(PyExc_TimeoutError, "no event within timeout_s; the turn goes on");
      throw py::error_already_set();
    }
  }
}

std::optional<TurnEvent> next_event(TurnStream& stream, std::optional<double> timeout_s) {
  TurnQueue& queue = stream.queue();
  if (std::optional<TurnEvent> event = queue.take()) return event;
  wait_for_event(queue, timeout_s);
  return queue.take();
}

}  // namespace

void bind_turn_stream(py::module_& module) {
  using Release = py::call_guard<py::gil_scoped_release>;
  py::classh<TurnStream>(module, "TurnStream",
                         "The events of one turn: a TurnStart, TurnTokens, a TurnEnd. Made by SessionManager.turn(). "
                         "A stream that is dropped before its end cancels its turn.",
                         py::release_gil_before_calling_cpp_dtor())
      .def_property_readonly("turn_id", &TurnStream::turn_id, "The turn's number.")
      .def("next_event", &next_event, py::arg("timeout_s") = py::none(),
           "Waits for the next event; None once TurnEnd was returned. Raises TimeoutError after timeout_s seconds; "
           "the turn goes on then.")
      .def(
          "try_next", [](TurnStream& stream) { return stream.queue().take(); },
          "The next event if one is queued, else None. Never waits.")
      .def(
          "drain", [](TurnStream& stream) { return stream.queue().take_all(); }, "All queued events. Never waits.")
      .def_property_readonly(
          "ended", [](TurnStream& stream) { return stream.queue().ended(); },
          "Whether the turn has ended; its last events may still be queued.")
      .def(
          "fileno", [](TurnStream& stream) { return stream.queue().fileno(); },
          "A descriptor that is readable while next_event() would not wait: for loop.add_reader() and select. It "
          "belongs to the stream. Raises Error on systems without POSIX descriptors.")
      .def("cancel", &TurnStream::cancel, Release(), "Discards the turn; it ends with reason cancelled.")
      .def("stop_at", &TurnStream::stop_at, py::arg("answer_tokens"), Release(),
           "Ends the turn as stopped after its first answer_tokens tokens and commits those. Raises InvalidArgument "
           "if fewer were emitted.")
      .def("__iter__", [](py::object self) { return self; })
      .def("__next__",
           [](TurnStream& stream) {
             std::optional<TurnEvent> event = next_event(stream, std::nullopt);
             if (!event) throw py::stop_iteration();
             return std::move(*event);
           })
      .def("__repr__", [](TurnStream& stream) {
        return "<TurnStream of turn " + std::to_string(stream.turn_id()) +
               (stream.queue().ended() ? ", ended>" : ", running>");
      });
}

}  // namespace poise::bindings
