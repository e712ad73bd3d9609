// poise_latency SUBCOMMAND [--name value]...: what the benchmarks measure without Python's noise.
// bench/*.py run it, put peers beside it and judge; its own output is raw numbers.
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <string>

#include "commands.h"

int main(int argc, char** argv) {
  using namespace poise::bench;
  const std::map<std::string, std::function<int(Arguments&)>> commands = {
      {"ready", run_ready},           {"paths", run_paths},
#ifdef POISE_HAS_LLAMA
      {"rollback", run_rollback},     {"interference", run_interference},
      {"saturation", run_saturation}, {"batching", run_batching},
#endif
  };
  const auto command = commands.find(argc > 1 ? argv[1] : "");
  if (command == commands.end()) {
    std::fprintf(stderr, "usage: poise_latency SUBCOMMAND [--name value]..., with one of:");
    for (const auto& [name, run] : commands) {
      std::fprintf(stderr, " %s", name.c_str());
    }
    std::fprintf(stderr, "\n");
    return 2;
  }
  try {
    Arguments arguments(argc - 2, argv + 2);
    return command->second(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "poise_latency: %s\n", error.what());
    return 2;
  }
}
