#include "arguments.h"

#include <stdexcept>

#include "poise/error.h"

namespace poise::bench {
namespace {

template <typename Parse>
auto parsed(const std::string& name, const std::string& value, Parse parse) {
  std::size_t end = 0;
  try {
    const auto result = parse(value, &end);
    if (end == value.size()) {
      return result;
    }
  } catch (const std::logic_error&) {  // what std::stoi and std::stod throw
  }
  throw InvalidArgument("--" + name + " is '" + value + "'; it must be a number");
}

}  // namespace

Arguments::Arguments(int count, char** values) {
  for (int i = 0; i < count; i += 2) {
    const std::string name = values[i];
    if (name.size() < 3 || name.substr(0, 2) != "--" || i + 1 == count) {
      throw InvalidArgument("'" + name + "' is not followed by a value; arguments are --name value pairs");
    }
    values_[name.substr(2)] = values[i + 1];
  }
}

const std::string* Arguments::find(const std::string& name) {
  used_.insert(name);
  const auto found = values_.find(name);
  return found == values_.end() ? nullptr : &found->second;
}

std::int32_t Arguments::integer(const std::string& name, std::int32_t otherwise) {
  const std::string* const value = find(name);
  return value == nullptr ? otherwise
                          : parsed(name, *value, [](const auto& text, auto* end) { return std::stoi(text, end); });
}

double Arguments::number(const std::string& name, double otherwise) {
  const std::string* const value = find(name);
  return value == nullptr ? otherwise
                          : parsed(name, *value, [](const auto& text, auto* end) { return std::stod(text, end); });
}

std::string Arguments::text(const std::string& name, const std::string& otherwise) {
  const std::string* const value = find(name);
  return value == nullptr ? otherwise : *value;
}

void Arguments::check_all_used() const {
  for (const auto& [name, value] : values_) {
    if (!used_.contains(name)) {
      throw InvalidArgument("--" + name + " is unknown here");
    }
  }
}

}  // namespace poise::bench
