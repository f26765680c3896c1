#include "host/core/toml_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace l2o {
namespace {

std::string quoted_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string key_text(std::string_view key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare ? std::string(key) : quoted_text(key);
}

std::string number_text(double value) {
  std::string text = fmt::format("{}", value);
  // TOML tells floats from integers by a dot or an exponent.
  if (std::isfinite(value) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

/// header: "[path]", or "[[path]]" for an element of an array of tables; empty for the root.
void write_table(const toml::table& table, const std::string& path, const std::string& header,
                 std::string& out) {
  std::string values;
  for (const auto& [key, node] : table) {
    if (!node.is_table() && !node.is_array_of_tables()) {
      values += fmt::format("{} = {}\n", key_text(key.str()), toml_value(node));
    }
  }
  // An element of an array is written even if it is empty.
  if ((!values.empty() || header.starts_with("[[")) && !header.empty()) {
    out += fmt::format("{}{}\n", out.empty() ? "" : "\n", header);
  }
  out += values;
  for (const auto& [key, node] : table) {
    const std::string name = key_text(key.str());
    const std::string below = path.empty() ? name : fmt::format("{}.{}", path, name);
    if (node.is_table()) write_table(*node.as_table(), below, fmt::format("[{}]", below), out);
    if (!node.is_array_of_tables()) continue;
    for (const toml::node& element : *node.as_array()) {
      write_table(*element.as_table(), below, fmt::format("[[{}]]", below), out);
    }
  }
}

}  // namespace

std::string toml_value(const toml::node& value) {
  if (const auto* text = value.as_string()) return quoted_text(text->get());
  if (const auto* number = value.as_floating_point()) return number_text(number->get());
  if (const auto* integer = value.as_integer()) return fmt::format("{}", integer->get());
  if (const auto* boolean = value.as_boolean()) return boolean->get() ? "true" : "false";
  std::string out;
  if (const auto* array = value.as_array()) {
    for (const toml::node& element : *array) out += (out.empty() ? "" : ", ") + toml_value(element);
    return "[" + out + "]";
  }
  if (const auto* table = value.as_table()) {
    for (const auto& [key, node] : *table) {
      out +=
          fmt::format("{}{} = {}", out.empty() ? "" : ", ", key_text(key.str()), toml_value(node));
    }
    return "{" + out + "}";
  }
  return "a date or time";  // which none of our keys accepts
}

std::string toml_document(const toml::table& root) {
  std::string out;
  write_table(root, "", "", out);
  return out;
}

}  // namespace l2o
