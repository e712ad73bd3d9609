#include "poise/sampling.h"

#include "bindings.h"

namespace poise::bindings {

void bind_sampling(py::module_& module) {
  py::class_<LogitBias> bias(module, "LogitBias", "Added to one id's logit after the penalties.");
  bind_options(bias, field("token", &LogitBias::token, "The id."),
               field("bias", &LogitBias::bias, "Finite, or -inf to forbid the id."));

  using S = SamplingParams;
  py::class_<S> params(module, "SamplingParams", "How tokens are chosen; every default is neutral.");
  bind_options(params, field("temperature", &S::temperature, "0 = greedy; in [0, 100]."),
               field("top_k", &S::top_k, "Keep the k best ids; 0 = all."),
               field("top_p", &S::top_p, "Keep the smallest best-first set with this mass; in (0, 1]."),
               field("min_p", &S::min_p, "Keep ids with p >= min_p * max p; in [0, 1]."),
               field("repetition_penalty", &S::repetition_penalty, "Over all ids of the context; 1 = none."),
               field("presence_penalty", &S::presence_penalty, "Subtracted once from ids already generated."),
               field("frequency_penalty", &S::frequency_penalty, "Subtracted per occurrence among the generated ids."),
               field("bias", &S::bias, "At most one term an id."),
               field("seed", &S::seed, "Key of the draws; None = adopted or fresh."),
               field("choice_index", &S::choice_index, "Which of the n answers to one prompt this is."));
  params.def_property_readonly("greedy", &S::greedy, "True at temperature 0.")
      .def_property_readonly("has_penalties", &S::has_penalties, "True if any penalty is not neutral.")
      .def("validate", &S::validate, py::arg("vocab_size"), "Raises InvalidArgument naming field, value and range.")
      .def("same_distribution", &S::same_distribution, py::arg("other"),
           "Equal in everything that decides a draw, the seed left out.");
}

}  // namespace poise::bindings
