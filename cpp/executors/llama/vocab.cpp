#include "executors/llama/vocab.h"

#include <algorithm>
#include <limits>

#include "common/format.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

TokenId token_or_none(llama_token token) { return token == LLAMA_TOKEN_NULL ? kNoToken : token; }

}  // namespace

Vocab::Vocab(std::shared_ptr<const Model> model) : model_(std::move(model)), vocab_(model_->vocab()) {}

Tokens Vocab::tokenize(std::string_view input, bool add_special, bool parse_special) const {
  if (input.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max() / 2)) {
    throw InvalidArgument(text("the text has ", input.size(), " bytes, more than the tokenizer takes at once (",
                               std::numeric_limits<std::int32_t>::max() / 2, "); split it"));
  }
  const auto bytes = static_cast<std::int32_t>(input.size());
  Tokens tokens(input.size() + 2);  // a token has at least one byte, and up to two specials join
  std::int32_t count = llama_tokenize(vocab_, input.data(), bytes, tokens.data(),
                                      static_cast<std::int32_t>(tokens.size()), add_special, parse_special);
  if (count < 0) {
    tokens.resize(static_cast<std::size_t>(-count));
    count = llama_tokenize(vocab_, input.data(), bytes, tokens.data(), -count, add_special, parse_special);
  }
  if (count < 0) {
    throw InvalidArgument(text("the text of ", input.size(), " bytes cannot be tokenized"));
  }
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::string Vocab::detokenize(TokenSpan tokens, bool render_special) const {
  std::string all;
  std::string piece(64, '\0');
  for (const TokenId token : tokens) {
    if (!known(token)) {
      throw InvalidArgument(text("id ", token, " is outside the vocabulary of ", model_->vocab_size, " ids"));
    }
    std::int32_t bytes =
        llama_token_to_piece(vocab_, token, piece.data(), static_cast<std::int32_t>(piece.size()), 0, render_special);
    if (bytes < 0) {
      piece.resize(static_cast<std::size_t>(-bytes));
      bytes = llama_token_to_piece(vocab_, token, piece.data(), -bytes, 0, render_special);
    }
    all.append(piece, 0, static_cast<std::size_t>(std::max(bytes, 0)));
  }
  return all;
}

std::string Vocab::chat_template() const {
  const char* found = llama_model_chat_template(model_->handle.get(), nullptr);
  return found == nullptr ? "" : found;
}

std::string Vocab::metadata(const std::string& key) const {
  std::string value(256, '\0');
  std::int32_t bytes = llama_model_meta_val_str(model_->handle.get(), key.c_str(), value.data(), value.size());
  if (bytes < 0) {
    return "";
  }
  if (static_cast<std::size_t>(bytes) >= value.size()) {
    value.resize(static_cast<std::size_t>(bytes) + 1);
    bytes = llama_model_meta_val_str(model_->handle.get(), key.c_str(), value.data(), value.size());
  }
  value.resize(static_cast<std::size_t>(bytes));
  return value;
}

TokenId Vocab::bos() const { return token_or_none(llama_vocab_bos(vocab_)); }
TokenId Vocab::eos() const { return token_or_none(llama_vocab_eos(vocab_)); }
bool Vocab::adds_bos() const { return llama_vocab_get_add_bos(vocab_); }
bool Vocab::is_end_of_generation(TokenId token) const { return known(token) && llama_vocab_is_eog(vocab_, token); }
bool Vocab::is_control(TokenId token) const { return known(token) && llama_vocab_is_control(vocab_, token); }
std::int32_t Vocab::size() const { return model_->vocab_size; }

}  // namespace poise::llama

namespace poise {

std::shared_ptr<const LlamaVocab> load_vocab(const std::string& path) {
  return std::make_shared<llama::Vocab>(llama::load_model_vocab(path));
}

}  // namespace poise
