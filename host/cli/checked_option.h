// Options whose values are checked as they are read: integers and paths.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace l2o::cli {

/// Parses all of `text` as a decimal number from `min` to `max`; leading zeros are allowed (010 is
/// ten). Throws CLI::ValidationError naming the option.
std::uint64_t parse_integer(const std::string& option, const std::string& text, std::uint64_t min,
                            std::uint64_t max);

/// An option that takes an integer from `min` to `max`, shown as `type_name`. `Value` is an
/// Integer, whose current value is the default, or an optional one.
template <class Value, class Integer>
CLI::Option* add_integer_option(CLI::App& verb, const std::string& name, Value& value,
                                const std::string& description, const std::string& type_name,
                                Integer min, Integer max = std::numeric_limits<Integer>::max()) {
  const CLI::callback_t read = [&value, name, min, max](const CLI::results_t& given) {
    value = static_cast<Integer>(parse_integer(name, given.front(), static_cast<std::uint64_t>(min),
                                               static_cast<std::uint64_t>(max)));
    return true;
  };
  CLI::Option* option = verb.add_option(name, read, description);
  if constexpr (std::is_same_v<Value, Integer>) option->default_str(std::to_string(value));
  const bool is_bounded = max < std::numeric_limits<Integer>::max();
  return option->type_name(is_bounded ? type_name + " from " + std::to_string(min) + " to " +
                                            std::to_string(max)
                                      : type_name);
}

/// Accepts numbers from `min` to `max`. CLI::Range also accepts NaN.
CLI::Validator number_from(double min, double max);

/// An option or, if `name` has no dashes, a positional argument that takes one or several paths.
/// Empty paths, e.g. from "$UNSET", are rejected.
CLI::Option* add_path_option(CLI::App& verb, const std::string& name, std::string& path,
                             const std::string& description, const std::string& type_name);
CLI::Option* add_path_option(CLI::App& verb, const std::string& name,
                             std::vector<std::string>& paths, const std::string& description,
                             const std::string& type_name);

}  // namespace l2o::cli
