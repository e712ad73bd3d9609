#include "poise/clock.h"

#include "bindings.h"
#include "session_bindings.h"

namespace poise::bindings {

void bind_clock(py::module_& module) {
  py::classh<Clock>(module, "Clock", "Monotonic time. Thread-safe.")
      .def(
          "now_ms", [](const Clock& clock) { return to_ms(clock.now()); },
          "Milliseconds since an arbitrary origin, never decreasing.");
  py::classh<SteadyClock, Clock>(module, "SteadyClock", "The machine's monotonic clock.").def(py::init<>());
  py::classh<FakeClock, Clock>(module, "FakeClock", "Time that moves only when told to; starts at 0 ms.")
      .def(py::init<>())
      .def(
          "advance_ms",
          [](FakeClock& clock, double by_ms) {
            const Duration by = from_ms(by_ms, "by_ms");
            if (by < Duration::zero()) {
              throw InvalidArgument("by_ms is " + std::to_string(by_ms) + ", must be at least 0: time never decreases");
            }
            clock.advance(by);
          },
          py::arg("by_ms"), "Moves the time on. Raises InvalidArgument if by_ms is negative or not finite.");
}

}  // namespace poise::bindings
