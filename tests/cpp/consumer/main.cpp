// A C++ user's program: links the installed library, runs a request on the in-memory executor, and, where the library
// has the embedded executor, asks it for a model that is not there.

#include <poise/error.h>
#include <poise/version.h>

#include <cstdio>

#ifdef POISE_HAS_LLAMA
#include <poise/llama_executor.h>
#endif

int main() {
  std::printf("poise %s\n", poise::version());
#ifdef POISE_HAS_LLAMA
  poise::LlamaOptions options;
  options.model_path = "no-such-model.gguf";
  try {
    const poise::LlamaExecutor executor(options);
    return 1;
  } catch (const poise::Error& error) {
    std::printf("as expected: %s\n", error.what());
  }
#endif
  return 0;
}
