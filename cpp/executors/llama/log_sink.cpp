#include "executors/llama/log_sink.h"

#include <ggml-backend.h>
#include <llama.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string_view>

namespace poise::llama {
namespace {

constexpr std::size_t kKeptLines = 16;

class LogSink {
 public:
  LogSink() {
    const char* wanted = std::getenv("POISE_LLAMA_LOG");
    print_ = wanted != nullptr && std::string_view(wanted) == "1";
  }

  void line(ggml_log_level level, std::string_view text) {
    if (print_) {
      std::fwrite(text.data(), 1, text.size(), stderr);
    }
    const std::lock_guard lock(mutex_);
    // GGML_LOG_LEVEL_CONT goes on with the line before it
    const ggml_log_level effective = level == GGML_LOG_LEVEL_CONT ? last_level_ : level;
    last_level_ = effective;
    if (effective != GGML_LOG_LEVEL_ERROR) {
      return;
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
      text.remove_suffix(1);
    }
    if (text.empty()) {
      return;
    }
    lines_.emplace_back(text);
    ++count_;
    if (lines_.size() > kKeptLines) {
      lines_.pop_front();
    }
  }

  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

  std::string since(std::size_t mark) {
    const std::lock_guard lock(mutex_);
    std::string all;
    const std::size_t first = count_ - lines_.size();
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (first + i >= mark) {
        all += all.empty() ? "" : "; ";
        all += lines_[i];
      }
    }
    for (char& c : all) {
      c = c == '\n' ? ' ' : c;
    }
    return all;
  }

 private:
  std::mutex mutex_;
  std::deque<std::string> lines_;
  std::size_t count_ = 0;  // error lines ever
  ggml_log_level last_level_ = GGML_LOG_LEVEL_NONE;
  bool print_ = false;
};

LogSink& sink() {
  static LogSink instance;
  return instance;
}

void on_line(ggml_log_level level, const char* text, void* /*user*/) { sink().line(level, text); }

}  // namespace

void start_backend() {
  static const bool started = [] {
    sink();
    llama_log_set(on_line, nullptr);
    llama_backend_init();
    return true;
  }();
  static_cast<void>(started);
}

std::size_t error_mark() { return sink().count(); }
std::string errors_since(std::size_t mark) { return sink().since(mark); }

}  // namespace poise::llama
