#include "bindings.h"
#include "poise/version.h"
#include "session_bindings.h"

PYBIND11_MODULE(_core, m) {
  using namespace poise::bindings;
  m.doc() = "Poise's C++ core.";
  m.attr("__version__") = poise::version();
  bind_errors(m);
  bind_clock(m);
  bind_sampling(m);
  bind_scan(m);
  bind_constraint(m);
  bind_request(m);
  bind_results(m);
  bind_sink(m);
  bind_collect_sink(m);
  bind_executor(m);
  bind_sim_executor(m);
  bind_session_enums(m);
  bind_idle(m);
  bind_session_types(m);
  bind_journal(m);
  bind_counters(m);
  bind_turn_stream(m);
  bind_session_manager(m);
#ifdef POISE_HAS_LLAMA
  bind_llama_executor(m);
#endif
}
