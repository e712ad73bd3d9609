// How token ids cross into C++: from any sequence of ints, or a 1-D NumPy array of an integer type.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "poise/error.h"

namespace pybind11::detail {

/// poise::Tokens, and every other vector of 32-bit ints. An id outside 32 bits is an InvalidArgument that names it;
/// anything that is no sequence of ints is the usual TypeError.
template <>
class type_caster<std::vector<std::int32_t>> {
 public:
  PYBIND11_TYPE_CASTER(std::vector<std::int32_t>,
                       io_name("collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]", "list[int]"));

  bool load(handle source, bool /*convert*/) {
    if (!source || PyUnicode_Check(source.ptr()) || PyBytes_Check(source.ptr())) {
      return false;
    }
    return isinstance<array>(source) ? load_array(reinterpret_borrow<array>(source)) : load_sequence(source);
  }

  static handle cast(const std::vector<std::int32_t>& ids, return_value_policy /*policy*/, handle /*parent*/) {
    list result(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      result[i] = int_(ids[i]);
    }
    return result.release();
  }

 private:
  bool load_array(const array& ids) {
    if (ids.ndim() != 1 || (ids.dtype().kind() != 'i' && ids.dtype().kind() != 'u')) {
      return false;
    }
    if (ids.dtype().is(dtype::of<std::int32_t>())) {
      const auto same = reinterpret_borrow<array_t<std::int32_t>>(ids);
      const auto view = same.template unchecked<1>();
      value.resize(static_cast<std::size_t>(view.shape(0)));
      for (std::size_t i = 0; i < value.size(); ++i) {
        value[i] = view(static_cast<ssize_t>(i));
      }
      return true;
    }
    return load_sequence(ids.attr("tolist")());
  }

  bool load_sequence(handle source) {
    if (!isinstance<sequence>(source)) {
      return false;
    }
    const auto ids = reinterpret_borrow<sequence>(source);
    value.clear();
    value.reserve(ids.size());
    for (const handle item : ids) {
      if (PyBool_Check(item.ptr()) || !PyIndex_Check(item.ptr())) {
        return false;
      }
      const auto number = reinterpret_steal<object>(PyNumber_Index(item.ptr()));
      if (!number) {
        throw error_already_set();
      }
      int overflow = 0;
      const long long id = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
      if (overflow != 0 || id < std::numeric_limits<std::int32_t>::min() ||
          id > std::numeric_limits<std::int32_t>::max()) {
        throw poise::InvalidArgument("item " + std::to_string(value.size()) + " is " + str(number).cast<std::string>() +
                                     ", which does not fit into 32 bits");
      }
      value.push_back(static_cast<std::int32_t>(id));
    }
    return true;
  }
};

}  // namespace pybind11::detail
