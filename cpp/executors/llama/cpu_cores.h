// How many threads a pass should have on this machine.
#pragma once

#include <cstdint>

namespace poise::llama {

/// Physical cores that this process may use (hyper-threads of one core count once), at least 1.
[[nodiscard]] std::int32_t physical_cores();

}  // namespace poise::llama
