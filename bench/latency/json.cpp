#include "json.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace poise::bench {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string formatted(double value) {
  if (!std::isfinite(value)) {
    return "null";
  }
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

template <typename Values, typename Format>
std::string list(const Values& values, Format format) {
  std::string out = "[";
  for (const auto value : values) {
    if (out.size() > 1) {
      out += ',';
    }
    out += format(value);
  }
  return out + ']';
}

}  // namespace

JsonObject& JsonObject::member(std::string_view name, std::string_view value) {
  if (!members_.empty()) {
    members_ += ',';
  }
  members_ += quoted(name) + ':';
  members_ += value;
  return *this;
}

JsonObject& JsonObject::add(std::string_view name, std::string_view value) { return member(name, quoted(value)); }
JsonObject& JsonObject::add(std::string_view name, double value) { return member(name, formatted(value)); }
JsonObject& JsonObject::add(std::string_view name, std::int64_t value) { return member(name, std::to_string(value)); }
JsonObject& JsonObject::add(std::string_view name, bool value) { return member(name, value ? "true" : "false"); }
JsonObject& JsonObject::add(std::string_view name, const std::vector<double>& values) {
  return member(name, list(values, formatted));
}
JsonObject& JsonObject::add(std::string_view name, const std::vector<std::int32_t>& values) {
  return member(name, list(values, [](std::int32_t value) { return std::to_string(value); }));
}
JsonObject& JsonObject::add(std::string_view name, const JsonObject& value) { return member(name, value.text()); }

void JsonObject::print() const {
  const std::string line = text() + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

}  // namespace poise::bench
