// The Executor seam: executors written in Python, and what callers may ask of any executor.
#include "poise/executor.h"

#include <pybind11/functional.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "bindings.h"

namespace poise::bindings {
namespace {

/// An executor written in Python. Its exceptions become poise::Error in C++.
class PyExecutor final : public Executor, public py::trampoline_self_life_support {
 public:
  RequestId enqueue(Request request, std::shared_ptr<Sink> sink) override {
    return call<RequestId>("enqueue", std::move(request), std::move(sink));
  }
  void cancel(RequestId id) override { call<void>("cancel", id); }
  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const override {
    return call<Position>("resident_prefix", Tokens(context.begin(), context.end()), key, owner);
  }
  void release(OwnerId owner, Position keep_tokens) override { call<void>("release", owner, keep_tokens); }
  /// Asked once: these facts do not change. Empty facts if the override raises, which refuse every request.
  [[nodiscard]] const ExecutorInfo& info() const noexcept override {
    const py::gil_scoped_acquire gil;
    if (!info_known_) {
      try {
        info_ = call<ExecutorInfo>("info");
        info_known_ = true;
      } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
        PyErr_WriteUnraisable(nullptr);
      }
    }
    return info_;
  }
  [[nodiscard]] ExecutorStats stats() const override { return call<ExecutorStats>("stats"); }
  void on_idle(std::function<void()> listener) override { call<void>("on_idle", std::move(listener)); }
  void check_integrity() const override { call<void>("check_integrity"); }
  void shutdown() override { call<void>("shutdown"); }

 private:
  template <typename Result, typename... Args>
  Result call(const char* method, Args&&... args) const {
    const py::gil_scoped_acquire gil;
    const py::function override = py::get_override(static_cast<const Executor*>(this), method);
    if (!override) {
      throw ExecutorError(std::string("the Python executor does not implement ") + method + "()");
    }
    try {
      const py::object result = override(std::forward<Args>(args)...);
      if constexpr (!std::is_void_v<Result>) {
        return result.cast<Result>();
      }
    } catch (const py::error_already_set& raised) {
      throw_as_error(raised);
    } catch (const py::cast_error& wrong_type) {
      throw ExecutorError(std::string(method) + "() of the Python executor: " + wrong_type.what());
    }
  }

  mutable ExecutorInfo info_;  // guarded by the GIL until it is known
  mutable bool info_known_ = false;
};

/// A Python callback that a C++ thread may call: an exception in it is printed, and goes no further.
std::function<void()> unraising(std::function<void()> callback, const char* where) {
  return [callback = std::move(callback), where] {
    try {
      callback();
    } catch (py::error_already_set& raised) {
      const py::gil_scoped_acquire gil;
      raised.discard_as_unraisable(where);
    }
  };
}

/// Executors with threads, as long as they live.
class Living {
 public:
  void add(const std::shared_ptr<Executor>& executor) {
    const std::lock_guard lock(mutex_);
    std::erase_if(executors_, [](const auto& known) { return known.expired(); });
    executors_.push_back(executor);
  }
  void shut_down() {
    std::vector<std::weak_ptr<Executor>> executors;
    {
      const std::lock_guard lock(mutex_);
      executors.swap(executors_);
    }
    for (const auto& known : executors) {
      if (const auto executor = known.lock()) {
        executor->shutdown();
      }
    }
  }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<Executor>> executors_;
};

Living& living() {
  static Living executors;
  return executors;
}

}  // namespace

void shut_down_at_exit(const std::shared_ptr<Executor>& executor) { living().add(executor); }

void bind_executor(py::module_& module) {
  using Release = py::call_guard<py::gil_scoped_release>;
  py::classh<Executor, PyExecutor>(module, "Executor",
                                   "The seam to an inference engine. Subclass it and override every method to write "
                                   "one in Python.")
      .def(py::init<>())
      .def(
          "enqueue",
          [](Executor& self, Request request, std::shared_ptr<Sink> sink) {
            return self.enqueue(std::move(request), guarded(std::move(sink), self));
          },
          py::arg("request"), py::arg("sink"), Release(),
          "Queues a request. Raises InvalidArgument, ContextOverflow or ExecutorError; nothing was changed then.")
      .def("cancel", &Executor::cancel, py::arg("id"), Release(), "Ends a request at the next step boundary.")
      .def(
          "resident_prefix",
          [](const Executor& self, const Tokens& context, const KvKey& key, OwnerId owner) {
            return self.resident_prefix(context, key, owner);
          },
          py::arg("context"), py::arg("key") = KvKey{}, py::arg("owner") = kNoOwner, Release(),
          "Tokens of the context that the owner's request would reuse without copy or restore.")
      .def("release", &Executor::release, py::arg("owner"), py::arg("keep_tokens") = 0, Release(),
           "Gives up an owner's KV behind the first tokens; 0 forgets the owner and cancels its requests.")
      .def(
          "info", [](const Executor& self) { return self.info(); }, Release(), "Facts that do not change.")
      .def("stats", &Executor::stats, Release(), "Counters and current values.")
      .def(
          "on_idle",
          [](Executor& self, std::optional<std::function<void()>> listener) {
            self.on_idle(listener ? unraising(std::move(*listener), "on_idle") : nullptr);
          },
          py::arg("listener"), Release(), "Called when the executor becomes idle and when idle work ends.")
      .def("check_integrity", &Executor::check_integrity, Release(),
           "Raises ExecutorError if the books do not agree. Call while no request runs.")
      .def("shutdown", &Executor::shutdown, Release(), "Ends all requests and the thread. Idempotent.");

  py::module_::import("atexit").attr("register")(py::cpp_function([] {
    const py::gil_scoped_release release;
    living().shut_down();
  }));
}

}  // namespace poise::bindings
