#include "executors/llama/memory_plan.h"

#include <ggml-backend.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>

#include "common/format.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

constexpr auto kUnknown = std::numeric_limits<std::uint64_t>::max();

std::uint64_t number_in(const char* path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  return file >> value ? value : kUnknown;  // "max" does not parse: no limit
}

// What a new allocation may take: MemAvailable of the machine, and what a cgroup (v2) leaves.
std::uint64_t free_host_bytes() {
  std::uint64_t available = kUnknown;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    if (line.rfind("MemAvailable:", 0) == 0) {
      available = std::stoull(line.substr(13)) * 1024U;
    }
  }
  const std::uint64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const std::uint64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit != kUnknown && used != kUnknown) {
    available = std::min(available, limit > used ? limit - used : 0U);
  }
  return available;
}

std::uint64_t free_gpu_bytes() {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_GPU) {
      std::size_t free_bytes = 0;
      std::size_t all_bytes = 0;
      ggml_backend_dev_memory(device, &free_bytes, &all_bytes);
      total += free_bytes;
    }
  }
  return total;
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  std::ostringstream out;
  out << std::fixed << std::setprecision(unit == 0 ? 0 : 1) << value << ' ' << kUnits[unit];
  return out.str();
}

std::uint64_t kv_bytes(const SizeClass& size, std::uint64_t bytes_per_token) {
  const Position padded = (size.context_tokens + kCellPadding - 1) / kCellPadding * kCellPadding;
  return static_cast<std::uint64_t>(size.sequences) * static_cast<std::uint64_t>(padded) * bytes_per_token;
}

std::uint64_t MemoryPlan::kv_bytes() const {
  std::uint64_t bytes = 0;
  for (const SizeClass& size : classes) {
    bytes += llama::kv_bytes(size, bytes_per_token);
  }
  return bytes;
}

std::string MemoryPlan::text() const {
  const std::string total = poise::text(" x ", human_bytes(bytes_per_token), " = ", human_bytes(kv_bytes()), " of KV");
  if (classes.size() == 1) {
    return poise::text(classes[0].sequences, " sequences x ", classes[0].context_tokens, " tokens", total);
  }
  std::string sizes;
  for (const SizeClass& size : classes) {
    sizes += poise::text(sizes.empty() ? "" : " + ", size.sequences, " sequences x ", size.context_tokens, " tokens");
  }
  return poise::text("(", sizes, ")", total);
}

MemoryPlan plan_memory(const Model& model, const LlamaOptions& options, const std::vector<SizeClass>& classes) {
  MemoryPlan plan;
  for (const SizeClass& size : classes) {
    plan.classes.push_back({(size.context_tokens + kCellPadding - 1) / kCellPadding * kCellPadding, size.sequences});
  }
  plan.bytes_per_token = model.file.kv.bytes_per_token;
  plan.limit_is_option = options.max_kv_bytes > 0;
  const std::uint64_t machine = model.on_gpu ? free_gpu_bytes() : free_host_bytes();
  plan.limit_bytes = plan.limit_is_option ? std::min(options.max_kv_bytes, machine) : machine;
  if (plan.kv_bytes() <= plan.limit_bytes) {
    return plan;
  }
  const SizeClass& largest = plan.classes.back();
  const std::uint64_t one =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(largest.context_tokens) * plan.bytes_per_token);
  const std::string remedy =
      classes.size() == 1
          ? poise::text("lower max_sequences (", plan.limit_bytes / one, " fit at this length) or context_tokens")
          : poise::text("lower the numbers or the lengths in size_classes (one sequence of ", largest.context_tokens,
                        " tokens takes ", human_bytes(one), ")");
  throw ResourceExhausted(poise::text("the KV cache does not fit: ", plan.text(), ", ",
                                      plan.limit_is_option ? "max_kv_bytes and free memory allow " : "free memory is ",
                                      human_bytes(plan.limit_bytes), "; ", remedy));
}

}  // namespace poise::llama
