// Constraints: those of the core, and those written in Python, which the executor's thread calls with the GIL.
#include "poise/constraint.h"

#include <pybind11/numpy.h>

#include "bindings.h"
#include "poise/error.h"

namespace poise::bindings {
namespace {

using Words = py::array_t<std::uint32_t>;

/// A clone that Python code has made: the Python object lives as long as this one. It is never disowned, so that its
/// own methods may call those it inherits.
class SharedConstraint final : public Constraint {
 public:
  explicit SharedConstraint(std::shared_ptr<Constraint> shared) : shared_(std::move(shared)) {}

  void fill_mask(std::span<std::uint32_t> mask) const override { shared_->fill_mask(mask); }
  [[nodiscard]] Tokens forced() const override { return shared_->forced(); }
  void accept(TokenId token) override { shared_->accept(token); }
  void rollback(std::size_t count) override { shared_->rollback(count); }
  [[nodiscard]] bool finished() const override { return shared_->finished(); }
  [[nodiscard]] std::unique_ptr<Constraint> clone() const override { return shared_->clone(); }

 private:
  std::shared_ptr<Constraint> shared_;
};

/// A constraint written in Python. Each call takes the GIL for its own duration; exceptions become poise::Error in C++,
/// which ends the request with reason error.
class PyConstraint final : public Constraint, public py::trampoline_self_life_support {
 public:
  void fill_mask(std::span<std::uint32_t> mask) const override {
    const py::gil_scoped_acquire gil;
    // A base makes NumPy look at the words themselves, and write into them.
    Words view(static_cast<py::ssize_t>(mask.size()), mask.data(), py::none());
    call<void>("fill_mask", view);
    if (view.ref_count() > 1) {
      throw ExecutorError(
          "fill_mask() of the Python constraint has kept the mask, which is the core's and changes with every token; "
          "copy it");
    }
  }
  [[nodiscard]] Tokens forced() const override {
    const py::gil_scoped_acquire gil;
    return find("forced") ? call<Tokens>("forced") : Tokens{};
  }
  void accept(TokenId token) override { call<void>("accept", token); }
  void rollback(std::size_t count) override { call<void>("rollback", count); }
  [[nodiscard]] bool finished() const override {
    const py::gil_scoped_acquire gil;
    const py::object self = py::cast(static_cast<const Constraint*>(this));
    const py::object inherited = py::type::of<Constraint>().attr("finished");
    const py::object own = py::type::of(self).attr("finished");
    if (own.is(inherited)) {
      throw_missing("finished");
    }
    return guarded_call<bool>("finished", [&] {
      const py::object value = self.attr("finished");
      return PyCallable_Check(value.ptr()) != 0 ? value() : value;  // a property, or a method
    });
  }
  [[nodiscard]] std::unique_ptr<Constraint> clone() const override {
    const py::gil_scoped_acquire gil;
    auto made = call<std::shared_ptr<Constraint>>("clone");
    if (!made || made.get() == this) {
      throw ExecutorError("clone() of the Python constraint returned itself or nothing; it makes an independent copy");
    }
    return std::make_unique<SharedConstraint>(std::move(made));
  }

 private:
  [[nodiscard]] py::function find(const char* method) const {
    return py::get_override(static_cast<const Constraint*>(this), method);
  }

  [[noreturn]] static void throw_missing(const char* method) {
    throw ExecutorError(std::string("the Python constraint does not implement ") + method);
  }

  template <typename Result, typename... Args>
  Result call(const char* method, Args&&... args) const {
    const py::gil_scoped_acquire gil;
    const py::function override = find(method);
    if (!override) {
      throw_missing(method);
    }
    return guarded_call<Result>(method, [&] { return override(std::forward<Args>(args)...); });
  }

  template <typename Result, typename Call>
  static Result guarded_call(const char* method, const Call& call) {
    try {
      const py::object result = call();
      if constexpr (!std::is_void_v<Result>) {
        return result.template cast<Result>();
      }
    } catch (const py::error_already_set& raised) {
      throw_as_error(raised);
    } catch (const py::cast_error& wrong_type) {
      throw ExecutorError(std::string(method) + " of the Python constraint: " + wrong_type.what());
    }
  }
};

std::span<std::uint32_t> words_of(Words& mask) {
  if (mask.ndim() != 1 || !mask.writeable() || (mask.flags() & py::array::c_style) == 0) {
    throw InvalidArgument("the mask must be a writable, contiguous uint32 array of one dimension");
  }
  return {mask.mutable_data(), static_cast<std::size_t>(mask.size())};
}

Tokens allowed(const Constraint& constraint, std::int32_t vocab_size) {
  std::vector<std::uint32_t> mask(mask_words(vocab_size));
  constraint.fill_mask(mask);
  Tokens ids;
  for (TokenId id = 0; id < vocab_size; ++id) {
    const auto bit = static_cast<std::size_t>(id);
    if ((mask[bit / 32U] >> (bit % 32U) & 1U) != 0U) {
      ids.push_back(id);
    }
  }
  return ids;
}

}  // namespace

void bind_constraint(py::module_& module) {
  py::classh<Constraint, PyConstraint>(
      module, "Constraint",
      "A state machine over generated ids: which may come next. Subclass it and override fill_mask, accept, rollback, "
      "finished and clone, and forced where there are ids without a choice. An exception ends the request with reason "
      "error.")
      .def(py::init<>())
      .def("allowed", &allowed, py::arg("vocab_size"), "The ids allowed next, ascending.")
      .def(
          "fill_mask", [](const Constraint& self, Words mask) { self.fill_mask(words_of(mask)); },
          py::arg("mask").noconvert(),
          "Sets the bits of the ids allowed next and clears all others: bit i % 32 of word i / 32 is id i. The mask is "
          "the core's own memory: it must not be kept.")
      .def("forced", &Constraint::forced,
           "Ids that must come next whatever the logits say; empty if there is a choice. The same state gives the same "
           "ids.")
      .def("accept", &Constraint::accept, py::arg("token"),
           "Moves on by one id; raises InvalidArgument if not allowed.")
      .def("rollback", &Constraint::rollback, py::arg("count"), "Takes back the last accepted ids.")
      .def_property_readonly("finished", &Constraint::finished, "Nothing more may be generated.")
      .def("clone", &Constraint::clone, "An independent copy in the same state.");
  py::classh<TokenSetConstraint, Constraint>(module, "TokenSetConstraint",
                                             "Allows one fixed set of ids at each of the next `steps` positions.")
      .def(py::init<Tokens, std::size_t>(), py::arg("allowed"), py::arg("steps"));
}

}  // namespace poise::bindings
