// LlamaVocab over a loaded model.
#pragma once

#include "executors/llama/model.h"
#include "poise/llama_executor.h"

namespace poise::llama {

class Vocab final : public LlamaVocab {
 public:
  explicit Vocab(std::shared_ptr<const Model> model);

  [[nodiscard]] Tokens tokenize(std::string_view text, bool add_special, bool parse_special) const override;
  [[nodiscard]] std::string detokenize(TokenSpan tokens, bool render_special) const override;
  [[nodiscard]] std::string chat_template() const override;
  [[nodiscard]] std::string metadata(const std::string& key) const override;
  [[nodiscard]] TokenId bos() const override;
  [[nodiscard]] TokenId eos() const override;
  [[nodiscard]] bool adds_bos() const override;
  [[nodiscard]] bool is_end_of_generation(TokenId token) const override;
  [[nodiscard]] bool is_control(TokenId token) const override;
  [[nodiscard]] std::int32_t size() const override;

 private:
  [[nodiscard]] bool known(TokenId token) const { return token >= 0 && token < model_->vocab_size; }

  std::shared_ptr<const Model> model_;
  const llama_vocab* vocab_;
};

}  // namespace poise::llama
