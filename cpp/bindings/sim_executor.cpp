#include "poise/sim_executor.h"

#include "bindings.h"

namespace poise::bindings {

void bind_sim_executor(py::module_& module) {
  using O = SimOptions;
  py::class_<O> options(module, "SimOptions", "A toy model and the simulated machine under it.");
  bind_options(options, field("vocab_size", &O::vocab_size, "Ids are in [0, vocab_size)."),
               field("max_sequences", &O::max_sequences, "Sequences resident at once."),
               field("max_context_tokens", &O::max_context_tokens, "Of one sequence."),
               field("step_tokens", &O::step_tokens, "Prefill tokens of one step."),
               field("idle_quantum_tokens", &O::idle_quantum_tokens, "Prefill tokens of one idle step."),
               field("model_seed", &O::model_seed, "Another seed is another model."),
               field("sharpness", &O::sharpness, "Standard deviation of the toy logits."),
               field("end_bias", &O::end_bias, "Added to the logit of end token 0 at every position."),
               field("prefill_per_token_ms", &O::prefill_per_token, "Simulated cost."),
               field("decode_step_ms", &O::decode_step, "Simulated cost."),
               field("park_bytes", &O::park_bytes, "Host memory for parked sequences, 4 bytes a token."),
               field("threaded", &O::threaded, "False: work happens in step(), on the caller's thread."));

  using Release = py::call_guard<py::gil_scoped_release>;
  py::classh<SimExecutor, Executor>(module, "SimExecutor", "A deterministic executor in memory with a toy model.",
                                    py::release_gil_before_calling_cpp_dtor())
      .def(py::init([](const SimOptions& chosen, std::shared_ptr<Clock> clock) {
             auto executor = std::make_shared<SimExecutor>(chosen, std::move(clock));
             shut_down_at_exit(executor);
             return executor;
           }),
           py::arg_v("options", SimOptions{}, "..."), py::arg("clock") = py::none(), Release(),
           "clock None means the system's; a FakeClock is advanced by the simulated costs.")
      .def("step", &SimExecutor::step, Release(), "Runs one step; False if there was nothing to do.")
      .def("run_until_idle", &SimExecutor::run_until_idle, Release(), "Steps until nothing is left.")
      .def(
          "reference_logits",
          [](const SimExecutor& self, const Tokens& context) {
            const std::vector<float> row = self.reference_logits(context);
            return py::array_t<float>(static_cast<py::ssize_t>(row.size()), row.data());
          },
          py::arg("context"), "The toy model's row behind a context, computed from scratch.")
      .def("fail_next_step", &SimExecutor::fail_next_step, Release(), "Makes the next step fail.");
}

}  // namespace poise::bindings
