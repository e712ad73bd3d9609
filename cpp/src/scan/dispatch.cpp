// Which instruction set runs.
#include <atomic>
#include <string>

#include "poise/error.h"
#include "poise/scan.h"
#include "scan/kernels.h"

namespace poise {
namespace {

bool has(ScanIsa isa) noexcept {
#ifdef POISE_SCAN_X86
  __builtin_cpu_init();
  switch (isa) {
    case ScanIsa::portable:
      return true;
    case ScanIsa::avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
             __builtin_cpu_supports("popcnt") != 0;
    case ScanIsa::avx512:
      return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("popcnt") != 0;
  }
  return false;
#else
  return isa == ScanIsa::portable;
#endif
}

ScanIsa best() noexcept {
  return has(ScanIsa::avx512) ? ScanIsa::avx512 : has(ScanIsa::avx2) ? ScanIsa::avx2 : ScanIsa::portable;
}

std::atomic<ScanIsa>& chosen() noexcept {
  static std::atomic<ScanIsa> isa{best()};
  return isa;
}

}  // namespace

ScanIsa scan_isa() noexcept { return chosen().load(std::memory_order_relaxed); }

std::string_view to_string(ScanIsa isa) noexcept {
  switch (isa) {
    case ScanIsa::portable:
      return "portable";
    case ScanIsa::avx2:
      return "avx2";
    case ScanIsa::avx512:
      return "avx512";
  }
  return "unknown";
}

void set_scan_isa(ScanIsa isa) {
  if (!has(isa)) {
    throw InvalidArgument("this CPU lacks " + std::string(to_string(isa)) + "; the best it has is " +
                          std::string(to_string(best())));
  }
  chosen().store(isa, std::memory_order_relaxed);
}

namespace scan_detail {

const Kernels& kernels() noexcept {
#ifdef POISE_SCAN_X86
  switch (scan_isa()) {
    case ScanIsa::avx512:
      return kAvx512Kernels;
    case ScanIsa::avx2:
      return kAvx2Kernels;
    case ScanIsa::portable:
      break;
  }
#endif
  return kPortableKernels;
}

}  // namespace scan_detail
}  // namespace poise
