// The vocabulary scan, NumPy in and out.
#include "poise/scan.h"

#include <pybind11/numpy.h>

#include <array>
#include <optional>
#include <vector>

#include "bindings.h"
#include "common/format.h"
#include "scan/kernels.h"
#include "scan/philox.h"

namespace poise::bindings {
namespace {

std::string shape_of(const py::array& array) {
  return text("shape ", std::string(py::str(array.attr("shape"))), " and dtype ", std::string(py::str(array.dtype())));
}

template <typename T>
using Contiguous = py::array_t<T, py::array::c_style>;

/// A 1-D array of exactly dtype T; a strided one is copied.
template <typename T>
Contiguous<T> vector_of(const py::array& array, const char* what, const char* wanted) {
  if (!py::isinstance<py::array_t<T>>(array) || array.ndim() != 1) {
    throw InvalidArgument(text(what, " has ", shape_of(array), "; pass ", wanted));
  }
  return Contiguous<T>::ensure(array);
}

template <typename T>
std::span<const T> view(const Contiguous<T>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

/// The mask's words, from words or from one bool an id.
std::vector<std::uint32_t> mask_of(const std::optional<py::array>& mask, std::size_t vocab_size) {
  if (!mask) {
    return {};
  }
  const std::size_t words = mask_words(static_cast<std::int32_t>(vocab_size));
  const auto size = static_cast<std::size_t>(mask->size());
  if (mask->ndim() == 1 && py::isinstance<py::array_t<bool>>(*mask) && size == vocab_size) {
    const auto bools = Contiguous<bool>::ensure(*mask);
    std::vector<std::uint32_t> bits(words);
    for (std::size_t i = 0; i < vocab_size; ++i) {
      bits[i / 32] |= static_cast<std::uint32_t>(bools.data()[i]) << (i % 32);
    }
    return bits;
  }
  if (mask->ndim() == 1 && py::isinstance<py::array_t<std::uint32_t>>(*mask) && size == words) {
    const auto bits = Contiguous<std::uint32_t>::ensure(*mask);
    return {bits.data(), bits.data() + words};
  }
  throw InvalidArgument(text("mask has ", shape_of(*mask), "; pass bool of shape (", vocab_size,
                             ",) or uint32 of shape (", words, ",), bit i % 32 of word i / 32 for id i"));
}

using Mask = std::optional<py::array>;
using Counts = std::vector<TokenCount>;

/// Owns what a ScanRequest borrows.
class Arguments {
 public:
  Arguments(std::size_t vocab_size, const SamplingParams& params, const Mask& mask, const Counts& counts,
            Position position)
      : mask_(mask_of(mask, vocab_size)) {
    params.validate(static_cast<std::int32_t>(vocab_size));
    request.params = &params;
    request.mask = mask_;
    request.counts = counts;
    request.position = position;
  }
  ScanRequest request;

 private:
  std::vector<std::uint32_t> mask_;
};

Contiguous<float> row_of(const py::array& logits) {
  return vector_of<float>(logits, "logits", "float32 of shape (vocab_size,)");
}

/// Tokens at many positions, and how many of them a kept head answered.
template <typename Scan>
py::tuple many(const py::array& positions, ScanRequest request, const Scan& scan_one) {
  const auto at = vector_of<std::int32_t>(positions, "positions", "int32 of shape (draws,)");
  py::array_t<std::int32_t> tokens(at.size());
  std::int32_t* const out = tokens.mutable_data();
  std::size_t from_head = 0;
  {
    const py::gil_scoped_release released;
    for (std::size_t i = 0; i < view(at).size(); ++i) {
      request.position = at.data()[i];
      const ScanResult result = scan_one(request);
      out[i] = result.token;
      from_head += result.from_head ? 1 : 0;
    }
  }
  return py::make_tuple(tokens, from_head);
}

void bind_results_of_scan(py::module_& module) {
  py::native_enum<ScanIsa>(module, "ScanIsa", "enum.Enum", "The instruction set of the CPU scan.")
      .value("portable", ScanIsa::portable)
      .value("avx2", ScanIsa::avx2)
      .value("avx512", ScanIsa::avx512)
      .finalize();

  py::class_<TokenCount> count(module, "TokenCount", "How often an id occurs: input of the penalties.");
  bind_options(count, field("token", &TokenCount::token, "The id."),
               field("generated", &TokenCount::generated, "Occurrences at or behind output_start."),
               field("in_context", &TokenCount::in_context, "Occurs anywhere in the context."));

  using S = ScanStatistics;
  py::class_<S> stats(module, "ScanStatistics", "After penalties, bias and mask, at temperature 1.");
  bind_result(stats, field("top1", &S::top1, "The best id."), field("top2", &S::top2, "The next, or -1."),
              field("top1_logit", &S::top1_logit, "Natural-log units."),
              field("top2_logit", &S::top2_logit, "-inf if there is no second."),
              field("gap", &S::gap, "top1_logit - top2_logit."),
              field("log_sum_exp", &S::log_sum_exp, "Of the allowed logits."), field("entropy", &S::entropy, "Nats."));

  using R = ScanResult;
  py::class_<R> result(module, "ScanResult", "A token and the statistics of its row.");
  bind_result(result, field("token", &R::token, "The chosen id."),
              field("logprob", &R::logprob, "Under the statistics' distribution."),
              field("stats", &R::stats, "See ScanStatistics."),
              field("from_head", &R::from_head, "Answered by a kept head, the whole row untouched."));

  py::class_<TokenLogprob> logprob(module, "TokenLogprob", "An id and its natural log-probability.");
  bind_result(logprob, field("token", &TokenLogprob::token, "The id."),
              field("logprob", &TokenLogprob::logprob, "<= 0."));
}

void bind_functions(py::module_& module) {
  module.def("scan_isa", &scan_isa, "The instruction set in use.");
  module.def("set_scan_isa", &set_scan_isa, py::arg("isa"),
             "Forces an instruction set, for tests and benchmarks. Not thread-safe.");
  module.def("scan_uniform", &scan_uniform, py::arg("seed"), py::arg("choice_index"), py::arg("position"),
             "The number in (0, 1) that a draw uses.");
  module.def(
      "count_tokens", [](const Tokens& context, Position output_start) { return count_tokens(context, output_start); },
      py::arg("context"), py::arg("output_start"), "The counts of a context, ascending by token.");

  module.def(
      "scan",
      [](const py::array& logits, const SamplingParams& params, const Mask& mask, const Counts& counts,
         Position position) {
        const auto row = row_of(logits);
        const Arguments arguments(view(row).size(), params, mask, counts, position);
        const py::gil_scoped_release released;
        return scan(view(row), arguments.request);
      },
      py::arg("logits"), py::arg("params"), py::kw_only(), py::arg("mask") = py::none(), py::arg("counts") = Counts{},
      py::arg("position") = 0, "One row of raw logits to a token and its statistics.");
  module.def(
      "scan_many",
      [](const py::array& logits, const SamplingParams& params, const py::array& positions, const Mask& mask,
         const Counts& counts) {
        const auto row = row_of(logits);
        const Arguments arguments(view(row).size(), params, mask, counts, 0);
        const auto scan_one = [&row](const ScanRequest& request) { return scan(view(row), request); };
        return py::object(many(positions, arguments.request, scan_one)[0]);
      },
      py::arg("logits"), py::arg("params"), py::arg("positions"), py::kw_only(), py::arg("mask") = py::none(),
      py::arg("counts") = Counts{}, "The tokens that `scan` chooses at each position.");
  module.def(
      "scan_statistics",
      [](const py::array& logits, const SamplingParams& params, const Mask& mask, const Counts& counts) {
        const auto row = row_of(logits);
        const Arguments arguments(view(row).size(), params, mask, counts, 0);
        const py::gil_scoped_release released;
        return scan_statistics(view(row), arguments.request);
      },
      py::arg("logits"), py::arg("params") = SamplingParams{}, py::kw_only(), py::arg("mask") = py::none(),
      py::arg("counts") = Counts{}, "Statistics without a token.");
  module.def(
      "top_logprobs",
      [](const py::array& logits, std::size_t n, const SamplingParams& params, const Mask& mask, const Counts& counts) {
        const auto row = row_of(logits);
        const Arguments arguments(view(row).size(), params, mask, counts, 0);
        const py::gil_scoped_release released;
        return top_logprobs(view(row), arguments.request, n);
      },
      py::arg("logits"), py::arg("n"), py::arg("params") = SamplingParams{}, py::kw_only(),
      py::arg("mask") = py::none(), py::arg("counts") = Counts{}, "The n best ids, best first.");
}

void bind_ready_row(py::module_& module) {
  py::class_<ReadyRow>(module, "ReadyRow", "A row kept with everything that does not depend on a request.")
      .def(py::init([](const py::array& logits, std::size_t head_size) {
             const auto row = row_of(logits);
             const py::gil_scoped_release released;
             return std::make_unique<ReadyRow>(view(row), head_size);
           }),
           py::arg("logits"), py::arg("head_size") = 256)
      .def(
          "scan",
          [](const ReadyRow& self, const SamplingParams& params, const Mask& mask, const Counts& counts,
             Position position) {
            const Arguments arguments(self.logits().size(), params, mask, counts, position);
            const py::gil_scoped_release released;
            return self.scan(arguments.request);
          },
          py::arg("params"), py::kw_only(), py::arg("mask") = py::none(), py::arg("counts") = Counts{},
          py::arg("position") = 0, "What `scan` gives on this row, from the head where it proves the outcome.")
      .def(
          "scan_many",
          [](const ReadyRow& self, const SamplingParams& params, const py::array& positions, const Mask& mask,
             const Counts& counts) {
            const Arguments arguments(self.logits().size(), params, mask, counts, 0);
            return many(positions, arguments.request,
                        [&self](const ScanRequest& request) { return self.scan(request); });
          },
          py::arg("params"), py::arg("positions"), py::kw_only(), py::arg("mask") = py::none(),
          py::arg("counts") = Counts{}, "The tokens at each position, and how many of them the head answered.")
      .def_property_readonly(
          "logits",
          [](const py::object& self) {
            const auto row = self.cast<const ReadyRow&>().logits();
            Contiguous<float> out(static_cast<py::ssize_t>(row.size()), row.data(), self);
            out.attr("setflags")(py::arg("write") = false);
            return out;
          },
          "The raw row, read-only.")
      .def_property_readonly(
          "head",
          [](const ReadyRow& self) { return std::vector<TokenLogprob>(self.head().begin(), self.head().end()); },
          "The best ids of the neutral row, best first.")
      .def_property_readonly("statistics", &ReadyRow::statistics, "Of the neutral row.")
      .def_property_readonly("size_bytes", &ReadyRow::size_bytes);
}

/// What tests look at and nobody else needs.
void bind_insides(py::module_& module) {
  module.def("_philox4x32_10", &scan_detail::philox4x32_10, py::arg("counter"), py::arg("key"));
  module.def(
      "_scan_exp",
      [](const py::array& x, float inverse_temperature) {
        const auto in = vector_of<float>(x, "x", "float32 of shape (n,), each <= 0");
        py::array_t<double> out(in.size());
        for (py::ssize_t i = 0; i < in.size(); ++i) {
          std::array<float, scan_detail::kLanes> same;
          same.fill(in.data()[i]);
          out.mutable_data()[i] = scan_detail::kernels().mass(same.data(), same.size(), 0.0F, inverse_temperature) /
                                  static_cast<double>(same.size());
        }
        return out;
      },
      py::arg("x"), py::arg("inverse_temperature") = 1.0F, "exp(x * inverse_temperature) as the kernels compute it.");
}

}  // namespace

void bind_scan(py::module_& module) {
  bind_results_of_scan(module);
  bind_functions(module);
  bind_ready_row(module);
  bind_insides(module);
}

}  // namespace poise::bindings
