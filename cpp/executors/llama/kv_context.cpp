#include "executors/llama/kv_context.h"

#include <algorithm>
#include <exception>

#include "common/format.h"
#include "executors/llama/log_sink.h"
#include "poise/error.h"

namespace poise::llama {

PassBatch::PassBatch(std::size_t capacity) {
  tokens_.reserve(capacity);
  positions_.reserve(capacity);
  seqs_.reserve(capacity);
  seq_counts_.reserve(capacity);
  seq_views_.reserve(capacity);
  outputs_.reserve(capacity);
}

void PassBatch::clear() {
  tokens_.clear();
  positions_.clear();
  seqs_.clear();
  outputs_.clear();
}

std::int32_t PassBatch::add(TokenId token, Position position, SeqId seq, bool output) {
  tokens_.push_back(token);
  positions_.push_back(position);
  seqs_.push_back(seq);
  outputs_.push_back(output ? 1 : 0);
  return size() - 1;
}

llama_batch PassBatch::view() {
  seq_counts_.assign(tokens_.size(), 1);
  seq_views_.resize(tokens_.size());
  for (std::size_t i = 0; i < seqs_.size(); ++i) {
    seq_views_[i] = &seqs_[i];
  }
  llama_batch batch{};
  batch.n_tokens = size();
  batch.token = tokens_.data();
  batch.pos = positions_.data();
  batch.n_seq_id = seq_counts_.data();
  batch.seq_id = seq_views_.data();
  batch.logits = outputs_.data();
  return batch;
}

bool KvContext::should_abort(void* self) {
  return static_cast<const KvContext*>(self)->abort_.load(std::memory_order_relaxed);
}

Workers start_workers(std::int32_t threads) {
  if (threads <= 1) {
    return nullptr;
  }
  ggml_threadpool_params params = ggml_threadpool_params_default(threads);
  return {ggml_threadpool_new(&params), [](ggml_threadpool* pool) { ggml_threadpool_free(pool); }};
}

KvContext::KvContext(std::shared_ptr<const Model> model, const ContextShape& shape, Workers workers)
    : model_(std::move(model)),
      shape_(shape),
      workers_(workers ? std::move(workers) : start_workers(shape.threads)),
      dirty_(static_cast<std::size_t>(shape.sequences), false) {
  llama_context_params params = llama_context_default_params();
  const auto sequences = static_cast<std::uint32_t>(shape.sequences);
  // each sequence gets a multiple of 256 cells; asking for it keeps both layouts equally large
  const std::uint32_t padded = (static_cast<std::uint32_t>(shape.tokens) + 255U) / 256U * 256U;
  params.n_ctx = padded * sequences;
  params.n_seq_max = sequences;
  params.n_ubatch = static_cast<std::uint32_t>(std::max(shape.batch_tokens, shape.sequences));
  params.n_batch = params.n_ubatch;
  params.n_outputs_max = std::min(params.n_batch, static_cast<std::uint32_t>(std::max(shape.outputs, shape.sequences)));
  params.n_threads = shape.threads;
  params.n_threads_batch = shape.threads;
  params.kv_unified = shape.unified;
  // Sliding-window layers get as many cells as the others: costs memory, makes rollback exact under streams.
  params.swa_full = true;
  params.no_perf = true;
  // The interrupted part of a recurrent state could not be taken back.
  params.abort_callback = model_->recurrent ? nullptr : should_abort;
  params.abort_callback_data = this;

  const std::size_t mark = error_mark();
  context_.reset(llama_init_from_model(model_->handle.get(), params));
  if (!context_) {
    throw ResourceExhausted(text("llama.cpp cannot allocate ", shape.sequences, " sequences of ", padded,
                                 " tokens: ", errors_since(mark), "; lower max_sequences or context_tokens"));
  }
  shape_.batch_tokens = static_cast<std::int32_t>(llama_n_ubatch(context_.get()));
  shape_.outputs = std::min(static_cast<std::int32_t>(params.n_outputs_max), shape_.batch_tokens);
  memory_ = llama_get_memory(context_.get());
  capacity_ = static_cast<Position>(padded);
  if (workers_) {
    llama_attach_threadpool(context_.get(), workers_.get(), workers_.get());
  }
}

KvContext::~KvContext() = default;

void KvContext::settle_copies() {
  if (pending_copies_ > 0) {
    std::fill(dirty_.begin(), dirty_.end(), false);
    pending_copies_ = 0;
  }
}

// llama.cpp removes the positions of the pass that failed; this holds even where it did not.
void KvContext::forget_partial(const PassBatch& batch) {
  for (std::size_t i = 0; i < batch.seqs_.size(); ++i) {
    const bool first = i == 0 || batch.seqs_[i] != batch.seqs_[i - 1];
    if (first && length(batch.seqs_[i]) > batch.positions_[i]) {
      static_cast<void>(remove(batch.seqs_[i], batch.positions_[i]));
    }
  }
}

PassResult KvContext::decode(PassBatch& batch) {
  const std::size_t mark = error_mark();
  std::int32_t status = 0;
  try {
    status = llama_decode(context_.get(), batch.view());
    llama_synchronize(context_.get());
  } catch (const std::exception& failure) {
    error_ = failure.what();
    forget_partial(batch);
    return PassResult::failed;
  }
  if (status == 0) {
    settle_copies();
    return PassResult::done;
  }
  if (status == 2) {
    settle_copies();  // they come before the first node of the graph
    forget_partial(batch);
    return PassResult::aborted;
  }
  error_ = text("llama.cpp's decode returned ", status, ": ", errors_since(mark));
  forget_partial(batch);
  return PassResult::failed;
}

std::span<const float> KvContext::row(std::int32_t index) const {
  const float* logits = llama_get_logits_ith(context_.get(), index);
  if (logits == nullptr) {
    throw ExecutorError(text("llama.cpp has no logits for token ", index, " of the pass"));
  }
  return {logits, static_cast<std::size_t>(model_->vocab_size)};
}

bool KvContext::remove(SeqId seq, Position from) {
  if (from <= 0) {
    static_cast<void>(llama_memory_seq_rm(memory_, seq, -1, -1));
    return true;
  }
  return holds(seq, from) && llama_memory_seq_rm(memory_, seq, from, -1);
}

bool KvContext::holds(SeqId seq, Position tokens) const {
  return model_->window_tokens == 0 ||
         llama_memory_seq_pos_min(memory_, seq) <= std::max(0, tokens - model_->window_tokens);
}

void KvContext::copy(SeqId from, SeqId to, Position tokens) {
  if (shape_.unified) {
    llama_memory_seq_cp(memory_, from, to, 0, tokens);
    return;
  }
  llama_memory_seq_cp(memory_, from, to, -1, -1);
  dirty_[static_cast<std::size_t>(from)] = true;
  dirty_[static_cast<std::size_t>(to)] = true;
  ++pending_copies_;
  if (length(to) > tokens) {
    static_cast<void>(llama_memory_seq_rm(memory_, to, tokens, -1));
  }
}

std::size_t KvContext::state_bytes(SeqId seq) {
  return llama_state_seq_get_size(context_.get(), seq) + KvState::slack(portable_streams_);
}

KvState KvContext::save(SeqId seq) {
  if (dirty(seq)) {
    return {};
  }
  const std::size_t slack = KvState::slack(portable_streams_);
  std::vector<std::byte> bytes(state_bytes(seq));
  const std::size_t written = llama_state_seq_get_data(context_.get(), reinterpret_cast<std::uint8_t*>(bytes.data()),
                                                       bytes.size() - slack, seq);
  if (written == 0 || written + slack != bytes.size()) {
    return {};
  }
  KvState state(std::move(bytes), written);
  if (portable_streams_ > 0) {
    state.make_portable(streams(), shape_.unified ? 0 : seq);
  }
  return state;
}

bool KvContext::restore(SeqId seq, KvState& state) {
  if (dirty(seq) || state.empty()) {
    return false;
  }
  const std::span<const std::byte> bytes = state.for_streams(streams());
  bool whole = false;
  try {
    whole =
        !bytes.empty() && llama_state_seq_set_data(context_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                   bytes.size(), seq) == bytes.size();
  } catch (const std::exception& failure) {
    error_ = failure.what();
  }
  if (!whole) {
    static_cast<void>(remove(seq, 0));
  }
  return whole;
}

bool KvContext::use_adapter(const AdapterUse& use) {
  if (use == adapter_) {
    return false;
  }
  llama_adapter_lora* handle = use.handle;
  float scale = use.scale;
  llama_set_adapters_lora(context_.get(), &handle, handle == nullptr ? 0 : 1, &scale);
  adapter_ = use;
  return true;
}

Position KvContext::length(SeqId seq) const {
  const llama_pos last = llama_memory_seq_pos_max(memory_, seq);
  if (last < 0) {
    return 0;
  }
  // a recurrent memory keeps its last state only, a window its last tokens
  const bool keeps_all = !model_->recurrent && model_->window_tokens == 0;
  return keeps_all && llama_memory_seq_pos_min(memory_, seq) != 0 ? -1 : last + 1;
}

void KvContext::clear() {
  llama_memory_clear(memory_, false);
  settle_copies();
}

}  // namespace poise::llama
