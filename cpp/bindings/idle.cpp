#include "poise/idle_scheduler.h"

#include "bindings.h"
#include "session_bindings.h"

namespace poise::bindings {
namespace {

void bind_options_and_candidate(py::module_& module) {
  py::class_<IdleOptions> options(module, "IdleOptions", "Budgets of idle work.");
  bind_options(
      options,
      field("max_time_share", &IdleOptions::max_time_share, "Share of wall time for idle work of all tenants, (0, 1]."),
      field("max_tenant_time_share", &IdleOptions::max_tenant_time_share, "The same for one tenant."),
      field("budget_window_ms", &IdleOptions::budget_window, "How much unspent share may be saved up."),
      field("min_hit_rate", &IdleOptions::min_hit_rate, "A tenant below this share of used entries pauses, [0, 1]."),
      field("hit_rate_samples", &IdleOptions::hit_rate_samples, "Outcomes that a verdict on the hit rate needs."),
      field("back_off_ms", &IdleOptions::back_off, "First pause; doubles while the rate stays low, up to 64 x."),
      field("continuation_agreement", &IdleOptions::continuation_agreement,
            "Probability that a request agrees with one more pre-decoded token, (0, 1]."));

  py::class_<IdleCandidate> candidate(module, "IdleCandidate", "Work that an idle step could do for an anticipation.");
  bind_options(
      candidate, field("session", &IdleCandidate::session, "The session's number."),
      field("anticipation", &IdleCandidate::anticipation, "0 = bringing the log itself up to date."),
      field("tenant", &IdleCandidate::tenant, "The tenant's number."),
      field("kind", &IdleCandidate::kind, "What is guessed."),
      field("prefill_tokens", &IdleCandidate::prefill_tokens, "Still to compute before the decision point."),
      field("completion_tokens", &IdleCandidate::completion_tokens, "Of the guess: still to be written by the model."),
      field("decode_tokens", &IdleCandidate::decode_tokens, "Still to pre-decode behind the decision point."),
      field("decoded_tokens", &IdleCandidate::decoded_tokens, "Pre-decoded behind it already."),
      field("decides", &IdleCandidate::decides, "Ends at a decision point."),
      field("weight", &IdleCandidate::weight, "Share among its kind in its session, [0, 1]."));

  py::class_<CostModel> costs(module, "CostModel", "Measured cost of the executor's steps.");
  bind_result(costs, field("prefill_us_per_token", &CostModel::prefill_us_per_token, "Microseconds a prefilled token."),
              field("decode_us_per_step", &CostModel::decode_us_per_step, "Microseconds a decode step."));
}

}  // namespace

void bind_idle(py::module_& module) {
  bind_options_and_candidate(module);
  py::class_<IdleScheduler>(module, "IdleScheduler",
                            "Which anticipation deserves the next idle step: P(consumed) x milliseconds saved / "
                            "milliseconds spent, within budgets. Not thread-safe.")
      .def(py::init([](const IdleOptions& options, std::shared_ptr<Clock> clock) {
             return std::make_unique<IdleScheduler>(options, std::move(clock));
           }),
           py::arg("options"), py::arg("clock") = py::none(),
           "clock None means the system's. Raises InvalidArgument for an option out of its range.")
      .def("offer", &IdleScheduler::offer, py::arg("candidate"),
           "Inserts the candidate or replaces the one with the same (session, anticipation); one without work or "
           "weight is withdrawn. Raises InvalidArgument, nothing changed.")
      .def("withdraw", &IdleScheduler::withdraw, py::arg("session"), py::arg("anticipation"),
           "Unknown candidates are ignored.")
      .def("withdraw_session", &IdleScheduler::withdraw_session, py::arg("session"), py::arg("forget_history"),
           "Forgets a session's candidates, and everything learned about it if it was closed.")
      .def("next", &IdleScheduler::next,
           "The most valuable candidate that the budgets allow now, or None. It stays in the queue.")
      .def(
          "retry_at_ms",
          [](const IdleScheduler& scheduler) -> std::optional<double> {
            const std::optional<TimePoint> at = scheduler.retry_at();
            return at ? std::optional(to_ms(*at)) : std::nullopt;
          },
          "When next() may return something, on the clock; None if the queue is empty.")
      .def(
          "on_work",
          [](IdleScheduler& scheduler, TenantKey tenant, std::int32_t prefilled_tokens, double prefill_ms,
             std::int32_t decoded_tokens, double decode_ms) {
            scheduler.on_work(tenant, prefilled_tokens, from_ms(prefill_ms, "prefill_ms"), decoded_tokens,
                              from_ms(decode_ms, "decode_ms"));
          },
          py::arg("tenant"), py::kw_only(), py::arg("prefilled_tokens") = 0, py::arg("prefill_ms") = 0.0,
          py::arg("decoded_tokens") = 0, py::arg("decode_ms") = 0.0,
          "Charges the budgets and learns the costs from finished idle work.")
      .def(
          "on_request_work",
          [](IdleScheduler& scheduler, std::int32_t prefilled_tokens, double prefill_ms, std::int32_t decoded_tokens,
             double decode_ms) {
            scheduler.on_request_work(prefilled_tokens, from_ms(prefill_ms, "prefill_ms"), decoded_tokens,
                                      from_ms(decode_ms, "decode_ms"));
          },
          py::kw_only(), py::arg("prefilled_tokens") = 0, py::arg("prefill_ms") = 0.0, py::arg("decoded_tokens") = 0,
          py::arg("decode_ms") = 0.0, "Learns the costs from a request's work; charges nothing.")
      .def("on_outcome", &IdleScheduler::on_outcome, py::arg("session"), py::arg("tenant"), py::arg("kind"),
           py::arg("outcome"), py::arg("weight") = 1.0, "An entry's end: used and stale are learned from.")
      .def("probability", &IdleScheduler::probability, py::arg("session"), py::arg("kind"),
           "Learned probability that the next request consumes an entry of this kind, per unit of weight.")
      .def("value", &IdleScheduler::value, py::arg("candidate"), "What the candidate is worth now.")
      .def_property_readonly(
          "costs", [](const IdleScheduler& scheduler) { return scheduler.costs(); }, "A copy of the measured costs.")
      .def_property_readonly("sessions_known", &IdleScheduler::sessions_known,
                             "Sessions something is remembered about.")
      .def_property_readonly("tenants_known", &IdleScheduler::tenants_known, "Tenants something is remembered about.")
      .def("__len__", &IdleScheduler::size, "Candidates in the queue.")
      .def("__repr__", [](const IdleScheduler& scheduler) {
        return "<IdleScheduler with " + std::to_string(scheduler.size()) + " candidates of " +
               std::to_string(scheduler.sessions_known()) + " sessions>";
      });
}

}  // namespace poise::bindings
