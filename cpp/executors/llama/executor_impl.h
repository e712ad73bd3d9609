// The LlamaExecutor's inside: an inbox that any thread fills, and one thread that admits, computes and delivers.
//
// The mutex guards the inbox and what other threads read. It is never held across a pass, a sink or the listener.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "executors/llama/batch_plan.h"
#include "executors/llama/job.h"
#include "executors/llama/kv_store.h"
#include "executors/llama/vocab.h"
#include "poise/llama_executor.h"

namespace poise {

class LlamaExecutor::Impl {
 public:
  explicit Impl(LlamaOptions options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  RequestId enqueue(Request request, std::shared_ptr<Sink> sink);
  void cancel(RequestId id);
  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const;
  void release(OwnerId owner, Position keep_tokens);
  [[nodiscard]] const ExecutorInfo& info() const noexcept { return info_; }
  [[nodiscard]] const LlamaOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::shared_ptr<const LlamaVocab> vocab() const { return vocab_; }
  [[nodiscard]] ExecutorStats stats() const;
  void on_idle(std::function<void()> listener);
  void check_integrity() const;
  void shutdown();

 private:
  using JobPtr = std::unique_ptr<llama::Job>;
  struct Arrival {
    JobPtr job;
  };
  struct Cancel {
    RequestId id;
  };
  struct Release {
    OwnerId owner;
    Position keep;
  };
  using Task = std::function<void()>;
  using Message = std::variant<Arrival, Cancel, Release, Task>;
  struct Row {           // an output of the current pass
    Position position;   // of the token behind which the row lies
    std::int32_t index;  // in the batch
  };

  // start.cpp: options to a running executor
  void load();
  [[nodiscard]] std::int32_t interruptible_tokens() const;
  void choose_layout();
  void describe(bool one_pass_fits);

  // inbox.cpp: messages and the thread
  void run();
  void work();
  void receive(bool may_wait);
  void handle(Message message);
  void post(Message message) const;
  void on_executor_thread(const std::function<void()>& task) const;
  void tell_listener();
  void end_all(const std::string& failure);

  // admission.cpp: who runs
  void arrive(JobPtr job);
  void release_now(const Release& release);
  void finish_cancelled();
  void admit_all();
  bool admit(llama::Job& job);
  bool begin_answer(llama::Job& job);
  bool displace_idle();
  [[nodiscard]] bool may_start(const llama::Job& job) const;
  [[nodiscard]] bool requests_present() const;
  void finish(llama::Job& job, FinishReason reason, std::string error = {});
  void count_jobs();

  // step.cpp: one pass
  bool step();
  bool flush_copies();
  bool save_ahead();
  [[nodiscard]] std::vector<llama::PassItem> plan(bool idle);
  [[nodiscard]] std::int32_t chunk_limit(const llama::Job& job, std::int32_t rows) const;
  void fill_batch(const std::vector<llama::PassItem>& items);
  [[nodiscard]] bool begin_pass(const std::vector<llama::PassItem>& items, bool idle);
  void end_pass();
  void settle(const std::vector<llama::PassItem>& items, bool idle, Duration took);
  void account(llama::Job& job, std::int32_t tokens, bool idle, Duration share);
  void measure(const std::vector<llama::PassItem>& items, Duration took);
  void fail(const std::vector<llama::PassItem>& items, const std::string& error);
  void repair(const std::vector<llama::PassItem>& items);
  void deliver(llama::Job& job, const std::vector<Row>& rows);
  [[nodiscard]] std::optional<FinishReason> choose_token(llama::Job& job, std::span<const float> row, bool returned);
  [[nodiscard]] std::optional<FinishReason> add_forced(llama::Job& job);
  [[nodiscard]] std::optional<FinishReason> add_token(llama::Job& job, const GeneratedToken& token);
  [[nodiscard]] llama::Job* job_of(llama::SeqId seq) const;

  LlamaOptions options_;
  ExecutorInfo info_;
  std::string layout_note_;
  SteadyClock clock_;
  std::shared_ptr<const llama::Model> model_;
  std::shared_ptr<const llama::Vocab> vocab_;
  std::unique_ptr<llama::KvContext> context_;
  llama::Costs costs_;
  std::unique_ptr<llama::KvStore> kv_;

  // any thread
  mutable std::mutex mutex_;
  mutable std::condition_variable work_;
  mutable std::vector<Message> inbox_;
  std::map<OwnerId, Position> pending_releases_;  ///< posted, not yet carried out: owner -> tokens kept
  std::vector<RequestId> pass_jobs_;              ///< of the pass that runs, without those cancelled since
  bool pass_is_idle_ = false;
  ExecutorStats stats_;  ///< what is not derived from the KV
  std::function<void()> listener_;
  bool stopped_ = false;
  std::string failure_;  ///< why the thread ended, if not by shutdown
  std::atomic<RequestId> next_id_{1};
  std::atomic<std::uint64_t> seed_state_{0};

  // the executor's thread
  std::vector<JobPtr> jobs_;  ///< waiting and running, by id
  llama::PassBatch batch_{0};
  std::vector<std::vector<Row>> rows_;  ///< of the current pass, by item
  std::uint64_t pass_number_ = 0;
  bool prefilled_last_ = false;
  bool became_idle_ = false;
  std::mutex join_mutex_;  ///< shutdown may be called twice at once
  std::thread thread_;
};

}  // namespace poise
