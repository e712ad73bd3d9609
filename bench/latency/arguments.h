// The driver's command line: --name value pairs behind the subcommand.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace poise::bench {

class Arguments {
 public:
  /// Throws InvalidArgument for anything that is not a --name value pair.
  Arguments(int count, char** values);

  /// The value, or the default. Throws InvalidArgument if it is not a number.
  [[nodiscard]] std::int32_t integer(const std::string& name, std::int32_t otherwise);
  [[nodiscard]] double number(const std::string& name, double otherwise);
  [[nodiscard]] std::string text(const std::string& name, const std::string& otherwise);
  /// Throws InvalidArgument naming the arguments that nobody asked for.
  void check_all_used() const;

 private:
  const std::string* find(const std::string& name);

  std::map<std::string, std::string> values_;
  std::set<std::string> used_;
};

}  // namespace poise::bench
