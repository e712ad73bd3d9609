// One JSON object a line: what the Python side reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace poise::bench {

class JsonObject {
 public:
  JsonObject& add(std::string_view name, std::string_view value);
  JsonObject& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
  JsonObject& add(std::string_view name, double value);  ///< null if not finite
  JsonObject& add(std::string_view name, std::int64_t value);
  JsonObject& add(std::string_view name, std::int32_t value) { return add(name, static_cast<std::int64_t>(value)); }
  JsonObject& add(std::string_view name, std::uint64_t value) { return add(name, static_cast<std::int64_t>(value)); }
  JsonObject& add(std::string_view name, bool value);
  JsonObject& add(std::string_view name, const std::vector<double>& values);
  JsonObject& add(std::string_view name, const std::vector<std::int32_t>& values);
  JsonObject& add(std::string_view name, const JsonObject& value);

  [[nodiscard]] std::string text() const { return "{" + members_ + "}"; }
  /// To standard output, as one flushed line.
  void print() const;

 private:
  JsonObject& member(std::string_view name, std::string_view value);
  std::string members_;
};

}  // namespace poise::bench
