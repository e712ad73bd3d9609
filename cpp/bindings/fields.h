// Plain structs in Python: keyword-only constructors, properties and reprs from one list of fields.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "casters.h"
#include "milliseconds.h"
#include "poise/constraint.h"

namespace poise::bindings {

namespace py = pybind11;

/// How a field's type appears in Python.
template <typename T>
struct Converter {
  using Python = T;
  static const T& to(const T& value) { return value; }
  static T from(T value, const char*) { return value; }
};
template <>
struct Converter<Duration> {
  using Python = double;
  static double to(Duration value) { return to_ms(value); }
  static Duration from(double value, const char* name) { return from_ms(value, name); }
};
template <>
struct Converter<std::optional<std::chrono::milliseconds>> {
  using Python = std::optional<double>;
  using Value = std::optional<std::chrono::milliseconds>;
  static Python to(const Value& value) { return value ? Python(static_cast<double>(value->count())) : std::nullopt; }
  static Value from(Python value, const char* name) {
    return value ? Value(std::chrono::duration_cast<std::chrono::milliseconds>(from_ms(*value, name))) : std::nullopt;
  }
};
template <>
struct Converter<std::shared_ptr<const Constraint>> {
  using Python = std::shared_ptr<Constraint>;  // pybind11 has no holder of const; executors only clone it
  static Python to(const std::shared_ptr<const Constraint>& value) {
    return std::const_pointer_cast<Constraint>(value);
  }
  static std::shared_ptr<const Constraint> from(Python value, const char*) { return value; }
};

template <typename Struct, typename T>
struct Field {
  using Python = typename Converter<T>::Python;

  const char* name;
  T Struct::* member;
  const char* doc;

  [[nodiscard]] Python get(const Struct& object) const { return Converter<T>::to(object.*member); }
  /// A struct inside a struct is returned as a reference, so that `outer.inner.x = 1` changes the outer one.
  [[nodiscard]] auto getter() const {
    if constexpr (std::is_same_v<T, Python>) {
      return [field = member](Struct& object) -> T& { return object.*field; };
    } else {
      return [field = *this](const Struct& object) { return field.get(object); };
    }
  }
  void set(Struct& object, Python value) const { object.*member = Converter<T>::from(std::move(value), name); }

  /// The keyword argument; its default is the struct's own.
  [[nodiscard]] py::arg_v argument() const {
    const Struct defaults{};
    if constexpr (std::is_arithmetic_v<Python>) {
      return py::arg_v(name, get(defaults));
    } else {
      const py::object value = py::cast(get(defaults));
      const bool simple = value.is_none() || py::isinstance<py::str>(value);
      return py::arg_v(name, value, simple ? nullptr : "...");
    }
  }
};

template <typename Struct, typename T>
[[nodiscard]] Field<Struct, T> field(const char* name, T Struct::* member, const char* doc) {
  return {name, member, doc};
}

template <typename Class, typename... Fields>
void define_repr(Class& cls, const Fields&... fields) {
  cls.def("__repr__", [names = std::vector<const char*>{fields.name...}](const py::object& self) {
    std::string text = py::str(py::type::of(self).attr("__name__"));
    const char* separator = "(";
    for (const char* name : names) {
      text += std::string(separator) + name + "=" + std::string(py::repr(self.attr(name)));
      separator = ", ";
    }
    return text + ")";
  });
}

/// What callers fill in: keyword-only constructor, properties that can be set. Lists are copied both ways: assign a
/// whole list, do not change one in place.
template <typename Struct, typename... Options, typename... Fields>
void bind_options(py::class_<Struct, Options...>& cls, const Fields&... fields) {
  cls.def(py::init([fields...](typename Fields::Python... values) {
            Struct object;
            (fields.set(object, std::move(values)), ...);
            return object;
          }),
          py::kw_only(), fields.argument()...);
  (cls.def_property(
       fields.name, fields.getter(),
       [fields](Struct& object, typename Fields::Python value) { fields.set(object, std::move(value)); }, fields.doc),
   ...);
  define_repr(cls, fields...);
}

/// What callers get: properties that cannot be set.
template <typename Struct, typename... Options, typename... Fields>
void bind_result(py::class_<Struct, Options...>& cls, const Fields&... fields) {
  (cls.def_property_readonly(
       fields.name, [fields](const Struct& object) { return fields.get(object); }, fields.doc),
   ...);
  define_repr(cls, fields...);
}

}  // namespace poise::bindings
