#include "collect_sink.h"

#include <pybind11/numpy.h>

#include "bindings.h"

namespace poise::bindings {

void CollectSink::on_start(RequestId /*id*/, std::int32_t reused_tokens) {
  const std::lock_guard lock(mutex_);
  reused_tokens_ = reused_tokens;
}

void CollectSink::on_logits(RequestId /*id*/, const LogitsView& logits) {
  const std::lock_guard lock(mutex_);
  rows_.push_back({logits.position, {logits.row.begin(), logits.row.end()}});
}

void CollectSink::on_token(RequestId /*id*/, const GeneratedToken& token) {
  const std::lock_guard lock(mutex_);
  generated_.push_back(token);
}

void CollectSink::on_finish(RequestId /*id*/, const Completion& completion) {
  const std::lock_guard lock(mutex_);
  completion_ = completion;
  ++finishes_;
  ended_.notify_all();
}

bool CollectSink::wait(std::chrono::duration<double> timeout) const {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, timeout, [this] { return finishes_ > 0; });
}

std::optional<std::int32_t> CollectSink::reused_tokens() const {
  const std::lock_guard lock(mutex_);
  return reused_tokens_;
}

Tokens CollectSink::tokens() const {
  const std::lock_guard lock(mutex_);
  Tokens tokens;
  for (const GeneratedToken& token : generated_) {
    tokens.push_back(token.token);
  }
  return tokens;
}

std::vector<GeneratedToken> CollectSink::generated() const {
  const std::lock_guard lock(mutex_);
  return generated_;
}

std::vector<CollectedRow> CollectSink::rows() const {
  const std::lock_guard lock(mutex_);
  return rows_;
}

std::optional<Completion> CollectSink::completion() const {
  const std::lock_guard lock(mutex_);
  return completion_;
}

std::int32_t CollectSink::finishes() const {
  const std::lock_guard lock(mutex_);
  return finishes_;
}

void bind_collect_sink(py::module_& module) {
  py::classh<CollectSink, Sink>(module, "CollectSink", "Keeps everything that one request returns. Thread-safe.")
      .def(py::init<>())
      .def(
          "wait",
          [](const CollectSink& self, double timeout_s) { return self.wait(std::chrono::duration<double>(timeout_s)); },
          py::arg("timeout_s"), py::call_guard<py::gil_scoped_release>(),
          "Waits for the end of the request; False if the time ran out.")
      .def_property_readonly("reused_tokens", &CollectSink::reused_tokens, "None before the request has started.")
      .def_property_readonly("tokens", &CollectSink::tokens, "The ids generated so far.")
      .def_property_readonly("generated", &CollectSink::generated, "The tokens so far, with their statistics.")
      .def_property_readonly(
          "logits",
          [](const CollectSink& self) {
            py::dict rows;
            for (const CollectedRow& kept : self.rows()) {
              rows[py::int_(kept.position)] =
                  py::array_t<float>(static_cast<py::ssize_t>(kept.row.size()), kept.row.data());
            }
            return py::typing::Dict<py::int_, py::array_t<float>>(rows);
          },
          "The rows so far, float32 of shape [vocab_size], by the position whose distribution they are.")
      .def_property_readonly(
          "logits_positions",
          [](const CollectSink& self) {
            std::vector<Position> positions;
            for (const CollectedRow& kept : self.rows()) {
              positions.push_back(kept.position);
            }
            return positions;
          },
          "The positions of the rows in the order in which they came.")
      .def_property_readonly("completion", &CollectSink::completion, "None before the end.")
      .def_property_readonly("finishes", &CollectSink::finishes, "How often on_finish was called.");
}

}  // namespace poise::bindings
