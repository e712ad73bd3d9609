// The driver's subcommands. Each prints one JSON object a line and returns the exit status.
#pragma once

#include "arguments.h"

namespace poise::bench {

/// First token of `ready` and `gate` on the in-memory executor, by context length.
int run_ready(Arguments& arguments);
/// Turns by path, on and off, on the embedded executor: one repetition a line of standard input.
int run_paths(Arguments& arguments);
#ifdef POISE_HAS_LLAMA
/// Rolling back and resuming a sequence of the embedded executor's books, without a pass.
int run_rollback(Arguments& arguments);
/// Poisson arrivals with and without idle work.
int run_interference(Arguments& arguments);
/// Throughput of a closed loop with and without idle work.
int run_saturation(Arguments& arguments);
/// Prefill, decode and batched decode rates of the embedded executor: one measurement a line of standard input.
int run_batching(Arguments& arguments);
#endif

}  // namespace poise::bench
