// The best ids of a row, best first, without sorting the row.
#pragma once

#include "scan/row.h"

namespace poise::scan_detail {

/// Puts the min(count, finite logits) best entries into memory.list, best first. Needs block_max and lane_max of
/// measure(). A threshold comes from the largest of every 64 logits, then only what reaches it is looked at.
void select_best(const Row& row, std::size_t count, Scratch& memory);

}  // namespace poise::scan_detail
