// The SimExecutor's inside: a queue, the simulated KV and one step at a time.
//
// The mutex guards everything below it and is never held while a sink or the listener is called: what they are to
// be told is collected during a step and delivered behind it, in order, by the thread that steps.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "executors/sim/job.h"
#include "executors/sim/kv_store.h"
#include "executors/sim/toy_model.h"
#include "poise/sim_executor.h"

namespace poise {

class SimExecutor::Impl {
 public:
  Impl(const SimOptions& options, std::shared_ptr<Clock> clock);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool step();
  [[nodiscard]] std::vector<float> reference_logits(TokenSpan context) const;
  void fail_next_step();
  RequestId enqueue(Request request, std::shared_ptr<Sink> sink);
  void cancel(RequestId id);
  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const;
  void release(OwnerId owner, Position keep_tokens);
  [[nodiscard]] const ExecutorInfo& info() const noexcept { return info_; }
  [[nodiscard]] bool threaded() const noexcept { return options_.threaded; }
  [[nodiscard]] ExecutorStats stats() const;
  void on_idle(std::function<void()> listener);
  void check_integrity() const;
  void shutdown();

 private:
  using Jobs = std::vector<std::unique_ptr<sim::Job>>;
  using Batch = std::vector<sim::Job*>;
  using Event = std::function<void()>;

  void run();  // the thread's body
  bool deliver(std::vector<Event> events);
  [[nodiscard]] bool has_work() const { return !jobs_.empty() || !events_.empty(); }
  void end_all();

  // sim_admission.cpp
  void finish_cancelled();
  void admit();
  bool admit(sim::Job& job);
  bool displace_idle(OwnerId owner);
  void leave_sequence(sim::Job& job);
  void finish(sim::Job& job, FinishReason reason, std::string error = {});
  [[nodiscard]] bool requests_present() const;

  // sim_step.cpp
  void compute();
  [[nodiscard]] Batch choose_batch();
  void prefill(const Batch& batch, bool idle);
  void decode(const Batch& batch, bool idle);
  void extend(sim::Job& job, std::int32_t tokens);
  void after_pass(sim::Job& job);
  void begin_answer(sim::Job& job);
  [[nodiscard]] std::optional<FinishReason> choose_token(sim::Job& job);
  [[nodiscard]] std::optional<FinishReason> add_forced(sim::Job& job);
  [[nodiscard]] std::optional<FinishReason> add_token(sim::Job& job, GeneratedToken token);
  void emit_row(sim::Job& job, Position position, const std::vector<float>& row);
  void spend(Duration cost, bool idle);
  [[nodiscard]] std::vector<float> row(const sim::Job& job) const;

  const SimOptions options_;
  const std::shared_ptr<Clock> clock_;
  const sim::ToyModel model_;
  ExecutorInfo info_;
  std::atomic<std::uint64_t> fresh_seed_{1};  ///< for requests that bring no seed

  mutable std::mutex mutex_;
  std::condition_variable work_;
  sim::KvStore kv_;
  Jobs jobs_;                  ///< waiting and running, by id
  std::vector<Event> events_;  ///< not yet delivered
  std::function<void()> listener_;
  ExecutorStats stats_;  ///< what is not derived from jobs_ and kv_
  RequestId next_id_ = 1;
  bool prefilled_last_ = false;
  bool became_idle_ = false;
  bool fail_next_ = false;
  bool stopped_ = false;
  std::mutex shutdown_;  ///< taken before mutex_
  std::thread thread_;
};

}  // namespace poise
