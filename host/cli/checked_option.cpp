#include "host/cli/checked_option.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

namespace l2o::cli {
namespace {

const CLI::Validator& not_empty() {
  static const CLI::Validator validator(
      [](std::string& path) {
        return path.empty() ? std::string("it is empty; expected a path") : std::string();
      },
      "");
  return validator;
}

}  // namespace

std::uint64_t parse_integer(const std::string& option, const std::string& text, std::uint64_t min,
                            std::uint64_t max) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool is_number = error == std::errc() && stop == end;
  if (!is_number || value < min || value > max) {
    throw CLI::ValidationError(option,
                               fmt::format("'{}' is not an integer from {} to {}", text, min, max));
  }
  return value;
}

CLI::Validator number_from(double min, double max) {
  return {[min, max](std::string& text) {
            double value = 0.0;
            const bool is_number = CLI::detail::lexical_cast(text, value);
            return is_number && value >= min && value <= max
                       ? std::string()
                       : fmt::format("'{}' is not a number from {:g} to {:g}", text, min, max);
          },
          fmt::format("{:g} to {:g}", min, max)};
}

CLI::Option* add_path_option(CLI::App& verb, const std::string& name, std::string& path,
                             const std::string& description, const std::string& type_name) {
  return verb.add_option(name, path, description)->check(not_empty())->type_name(type_name);
}

CLI::Option* add_path_option(CLI::App& verb, const std::string& name,
                             std::vector<std::string>& paths, const std::string& description,
                             const std::string& type_name) {
  return verb.add_option(name, paths, description)->check(not_empty())->type_name(type_name);
}

}  // namespace l2o::cli
