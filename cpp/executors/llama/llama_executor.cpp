// The public face: everything is the Impl's.
#include "poise/llama_executor.h"

#include "executors/llama/executor_impl.h"

namespace poise {

LlamaExecutor::LlamaExecutor(LlamaOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
LlamaExecutor::~LlamaExecutor() = default;

std::shared_ptr<const LlamaVocab> LlamaExecutor::vocab() const { return impl_->vocab(); }
const LlamaOptions& LlamaExecutor::options() const noexcept { return impl_->options(); }
std::vector<LoadedAdapter> LlamaExecutor::adapters() const { return impl_->adapters(); }
std::vector<SizeClassState> LlamaExecutor::classes() const { return impl_->classes(); }

RequestId LlamaExecutor::enqueue(Request request, std::shared_ptr<Sink> sink) {
  return impl_->enqueue(std::move(request), std::move(sink));
}
void LlamaExecutor::cancel(RequestId id) { impl_->cancel(id); }
Position LlamaExecutor::resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const {
  return impl_->resident_prefix(context, key, owner);
}
void LlamaExecutor::release(OwnerId owner, Position keep_tokens) { impl_->release(owner, keep_tokens); }
const ExecutorInfo& LlamaExecutor::info() const noexcept { return impl_->info(); }
ExecutorStats LlamaExecutor::stats() const { return impl_->stats(); }
void LlamaExecutor::on_idle(std::function<void()> listener) { impl_->on_idle(std::move(listener)); }
void LlamaExecutor::check_integrity() const { impl_->check_integrity(); }
void LlamaExecutor::shutdown() { impl_->shutdown(); }

}  // namespace poise
