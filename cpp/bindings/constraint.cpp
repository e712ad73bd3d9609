#include "poise/constraint.h"

#include "bindings.h"

namespace poise::bindings {

void bind_constraint(py::module_& module) {
  py::classh<Constraint>(module, "Constraint", "A state machine over generated ids: which may come next.")
      .def(
          "allowed",
          [](const Constraint& self, std::int32_t vocab_size) {
            std::vector<std::uint32_t> mask(mask_words(vocab_size));
            self.fill_mask(mask);
            Tokens ids;
            for (TokenId id = 0; id < vocab_size; ++id) {
              const auto bit = static_cast<std::size_t>(id);
              if ((mask[bit / 32U] >> (bit % 32U) & 1U) != 0U) {
                ids.push_back(id);
              }
            }
            return ids;
          },
          py::arg("vocab_size"), "The ids allowed next, ascending.")
      .def("accept", &Constraint::accept, py::arg("token"),
           "Moves on by one id; raises InvalidArgument if not allowed.")
      .def("rollback", &Constraint::rollback, py::arg("count"), "Takes back the last accepted ids.")
      .def_property_readonly("finished", &Constraint::finished)
      .def("clone", &Constraint::clone, "An independent copy in the same state.");
  py::classh<TokenSetConstraint, Constraint>(module, "TokenSetConstraint",
                                             "Allows one fixed set of ids at each of the next `steps` positions.")
      .def(py::init<Tokens, std::size_t>(), py::arg("allowed"), py::arg("steps"));
}

}  // namespace poise::bindings
