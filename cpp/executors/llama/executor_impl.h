// The LlamaExecutor's inside: an inbox that any thread fills, and one thread that admits, computes and delivers.
//
// All size classes (pools) belong to that one thread, so that one pass runs at a time, requests come before idle work
// whatever their class, and the requests of one owner keep their order when it moves to another class.
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
#include <tuple>
#include <variant>
#include <vector>

#include "executors/llama/batch_plan.h"
#include "executors/llama/job.h"
#include "executors/llama/kv_store.h"
#include "executors/llama/memory_plan.h"
#include "executors/llama/pool.h"
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
  [[nodiscard]] std::vector<LoadedAdapter> adapters() const;
  [[nodiscard]] std::vector<SizeClassState> classes() const;
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
  struct Pass {  // what one pass computes: sequences of one pool under one adapter
    llama::Pool* pool = nullptr;
    llama::AdapterUse adapter;
    std::vector<llama::PassItem> items;
  };
  struct RunningLane {  // a job that has tokens to compute
    llama::Job* job;
    llama::Pool* pool;
    llama::AdapterUse adapter;
  };

  // start.cpp: options to a running executor
  void load();
  void make_pools();
  /// Measures every pool. Returns whether a pass of one token fits an idle step in all of them.
  [[nodiscard]] bool probe_pools();
  [[nodiscard]] std::int32_t interruptible_tokens() const;
  void choose_layout();
  void describe(const llama::MemoryPlan& plan, bool one_pass_fits);

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
  bool displace_idle(std::size_t pool);
  [[nodiscard]] llama::KvRequest kv_request(const llama::Job& job) const;
  [[nodiscard]] bool may_start(const llama::Job& job) const;
  [[nodiscard]] bool requests_present() const;
  void finish(llama::Job& job, FinishReason reason, std::string error = {});
  void count_jobs();

  // step.cpp: one pass
  bool step();
  bool flush_copies();
  bool save_ahead();
  [[nodiscard]] Pass plan(bool idle);
  [[nodiscard]] std::vector<RunningLane> next_group(bool idle) const;
  [[nodiscard]] std::int32_t chunk_limit(const llama::Job& job, std::int32_t rows) const;
  void fill_batch(const Pass& pass);
  [[nodiscard]] bool begin_pass(const Pass& pass, bool idle);
  void end_pass();
  void settle(const Pass& pass, bool idle, bool switched, Duration took);
  void account(llama::Job& job, std::int32_t tokens, bool idle, Duration share);
  void measure(const Pass& pass, bool switched, Duration took);
  void fail(const std::vector<llama::PassItem>& items, const std::string& error);
  void repair(const std::vector<llama::PassItem>& items);
  void deliver(llama::Job& job, llama::KvContext& context, const std::vector<Row>& rows);
  [[nodiscard]] std::optional<FinishReason> choose_token(llama::Job& job, std::span<const float> row, bool returned);
  [[nodiscard]] std::optional<FinishReason> add_forced(llama::Job& job);
  [[nodiscard]] std::optional<FinishReason> add_token(llama::Job& job, const GeneratedToken& token);
  [[nodiscard]] llama::Job* job_of(llama::SeqId seq) const;
  [[nodiscard]] llama::Pool& pool_of(llama::SeqId seq) const { return *pools_[kv_->pool_index(seq)]; }

  LlamaOptions options_;
  ExecutorInfo info_;
  std::string layout_note_;
  SteadyClock clock_;
  std::shared_ptr<const llama::Model> model_;
  std::shared_ptr<const llama::Vocab> vocab_;
  std::vector<SizeClass> classes_;  ///< at least one
  llama::Pools pools_;              ///< one a class
  bool states_move_ = false;        ///< between pools
  std::unique_ptr<llama::KvStore> kv_;

  // any thread
  mutable std::mutex mutex_;
  mutable std::condition_variable work_;
  mutable std::vector<Message> inbox_;
  std::map<OwnerId, Position> pending_releases_;  ///< posted, not yet carried out: owner -> tokens kept
  std::vector<RequestId> pass_jobs_;              ///< of the pass that runs, without those cancelled since
  bool pass_is_idle_ = false;
  llama::Pool* pass_pool_ = nullptr;  ///< of the pass that runs
  ExecutorStats stats_;               ///< what is not derived from the KV
  std::function<void()> listener_;
  bool stopped_ = false;
  std::string failure_;  ///< why the thread ended, if not by shutdown
  std::atomic<RequestId> next_id_{1};
  std::atomic<std::uint64_t> seed_state_{0};

  // the executor's thread
  std::vector<JobPtr> jobs_;            ///< waiting and running, by id
  std::vector<std::vector<Row>> rows_;  ///< of the current pass, by item
  std::uint64_t pass_number_ = 0;
  /// Whether a group's last pass was prefill; forgotten when nothing runs.
  std::map<std::tuple<llama::Pool*, llama_adapter_lora*, float>, bool> prefilled_last_;
  bool became_idle_ = false;
  std::mutex join_mutex_;  ///< shutdown may be called twice at once
  std::thread thread_;
};

}  // namespace poise
