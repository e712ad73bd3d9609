// Where llama.cpp's log goes: nowhere, but the last error lines are kept for messages.
#pragma once

#include <string>

namespace poise::llama {

/// Routes llama.cpp's and ggml's log (process-wide) to a sink that keeps the last error lines. With POISE_LLAMA_LOG=1 in
/// the environment, all lines go to stderr too. Also starts llama.cpp's backends. Idempotent, thread-safe.
void start_backend();

/// Marks a point in the error log of the calling thread's interest.
[[nodiscard]] std::size_t error_mark();
/// The error lines since the mark, joined by "; ", without line breaks; empty if there were none.
[[nodiscard]] std::string errors_since(std::size_t mark);

}  // namespace poise::llama
