#include "host/core/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

#include "host/core/atomic_file.h"
#include "host/core/config_document.h"
#include "host/core/error.h"
#include "host/core/nearest_name.h"
#include "host/core/text.h"
#include "host/core/toml_writer.h"

namespace l2o {
namespace {

// Bounds on the cost of a hostile file. Every level of nesting that the parser does not bound
// itself needs a dot in a key, and nested tables are destroyed recursively.
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxDots = 4096;

/// Counts dots other than the decimal points of numbers. A key like 1.2 passes for a number; the
/// dot between two such keys does not, so they at most double the depth.
std::size_t count_key_dots(std::string_view text) {
  constexpr std::string_view kWord =
      "0123456789.+-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view kDigits = "0123456789";
  std::size_t dots = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find_first_not_of(kWord, begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    const auto in_word = static_cast<std::size_t>(std::count(word.begin(), word.end(), '.'));
    const std::size_t dot = word.find('.');
    const bool number = in_word == 1 && dot > 0 && dot + 1 < word.size() &&
                        kDigits.find(word[dot - 1]) != std::string_view::npos &&
                        kDigits.find(word[dot + 1]) != std::string_view::npos;
    if (!number) dots += in_word;
    begin = end + 1;
  }
  return dots;
}

bool is_bare(std::string_view word, std::string_view punctuation) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           punctuation.find(c) != std::string_view::npos;
  });
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string integer_range(std::int64_t min, std::int64_t max) {
  const bool bounded_below = min != std::numeric_limits<std::int64_t>::min();
  const bool bounded_above = max != std::numeric_limits<std::int64_t>::max();
  if (bounded_below && bounded_above) return fmt::format(" from {} to {}", min, max);
  if (bounded_below) return fmt::format(" of at least {}", min);
  if (bounded_above) return fmt::format(" of at most {}", max);
  return "";
}

std::string number_range(double min, double max) {
  const auto bounded = [](double bound) {
    return std::abs(bound) < std::numeric_limits<double>::max();
  };
  if (bounded(min) && bounded(max)) return fmt::format(" from {} to {}", min, max);
  if (bounded(min)) return fmt::format(" of at least {}", min);
  if (bounded(max)) return fmt::format(" of at most {}", max);
  return "";
}

constexpr char kText[] = "a quoted string without a zero byte";

/// The list under `key`. read(element) returns its value, or nothing if it is not as expected.
template <class Document, class Value, class Read>
std::vector<Value> read_list(Document& document, const std::string& table, const std::string& key,
                             const std::vector<Value>& default_value, const std::string& expected,
                             const Read& read) {
  std::vector<Value> result = default_value;
  if (const toml::node* found = document.value(table, key)) {
    if (!found->is_array()) document.reject(table, key, *found, expected);
    result.clear();
    for (const toml::node& element : *found->as_array()) {
      const std::optional<Value> value = read(element);
      if (!value) document.reject(table, key, *found, expected);
      result.push_back(*value);
    }
  }
  toml::array resolved;
  for (const Value& value : result) resolved.push_back(value);
  document.resolve(table, key, std::move(resolved));
  return result;
}

}  // namespace

ConfigReader::ConfigReader(std::shared_ptr<Document> document, std::string path)
    : document_(std::move(document)), path_(std::move(path)) {}

ConfigReader ConfigReader::from_file(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return from_text(text, path);
}

ConfigReader ConfigReader::from_text(std::string_view text, const std::string& source_name) {
  if (text.size() > kMaxBytes) {
    throw Error(Status::kUsage,
                fmt::format("{}: a config may have at most {} bytes", source_name, kMaxBytes));
  }
  if (count_key_dots(text) > kMaxDots) {
    throw Error(Status::kUsage, fmt::format("{}: the keys of a config may have at most {} dots",
                                            source_name, kMaxDots));
  }
  auto document = std::make_shared<Document>();
  document->source_name = source_name;
  try {
    document->given = toml::parse(text, source_name);
  } catch (const toml::parse_error& error) {
    const toml::source_position begin = error.source().begin;
    throw Error(Status::kUsage, fmt::format("{}:{}:{}: {}", source_name, begin.line, begin.column,
                                            error.description()));
  }
  return ConfigReader(std::move(document), "");
}

void ConfigReader::set(std::string_view assignment) {
  const auto malformed = [&](const std::string& why) {
    return Error(
        Status::kUsage,
        fmt::format("--set \"{}\": {}; expected key=value, the value as TOML", assignment, why));
  };
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) throw malformed("no \"=\"");
  const std::string path(trim(assignment.substr(0, equals)));
  const std::string_view value = trim(assignment.substr(equals + 1));
  std::vector<std::string> keys = split_path(path);
  constexpr std::size_t kMaxDepth = 16;
  if (keys.size() > kMaxDepth || !std::all_of(keys.begin(), keys.end(), [](const auto& key) {
        return is_bare(split_index(key).first, "_-");
      })) {
    throw malformed("not a dotted key");
  }
  if (value.find_first_of("\r\n") != std::string_view::npos || value.size() > kMaxBytes ||
      count_key_dots(value) > kMaxDots) {
    throw malformed("not a value");
  }

  toml::table parsed;
  try {
    parsed = toml::parse(fmt::format("value = {}", value));
  } catch (const toml::parse_error& error) {
    if (!is_bare(value, "_-./")) throw malformed(std::string(error.description()));
    parsed.insert("value", std::string(value));
  }

  toml::table* at = &Document::make(document_->given, path_);
  for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
    const auto [name, index] = split_index(keys[i]);
    const toml::array* const array = at->contains(name) ? at->get(name)->as_array() : nullptr;
    if (index && (array == nullptr || *index >= array->size())) {
      throw malformed(fmt::format("there is no {}; [[{}]] has {} tables, counted from 0", keys[i],
                                  name, array == nullptr ? 0 : array->size()));
    }
    at = Document::make_step(*at, keys[i]);
    if (at == nullptr) {
      throw malformed(array == nullptr ? name + " is not a table"
                                       : fmt::format("there are several [[{0}]]; expected one of "
                                                     "them, as in {0}[0].key=value",
                                                     name));
    }
  }
  if (split_index(keys.back()).second) throw malformed("not a dotted key");
  parsed.get("value")->visit(
      [&](auto& node) { at->insert_or_assign(keys.back(), std::move(node)); });
  document_->overridden.insert(join_path(path_, path));
}

void ConfigReader::set_text(const std::string& table, const std::string& key,
                            const std::string& value) {
  const std::string path = join_path(path_, table);
  if (!is_utf8(value)) {
    throw Error(Status::kUsage,
                fmt::format("{} = \"{}\": expected UTF-8 text", join_path(path, key), value));
  }
  if (const toml::node* found = document_->value(path_, table); found && !found->is_table()) {
    document_->reject(path_, table, *found, fmt::format("a table [{}]", path));
  }
  Document::make(document_->given, path).insert_or_assign(key, value);
  document_->overridden.insert(join_path(path, key));
}

ConfigReader ConfigReader::table(const std::string& key) {
  const toml::node* found = document_->value(path_, key);
  if (found != nullptr && !found->is_table()) {
    document_->reject(path_, key, *found, fmt::format("a table [{}]", join_path(path_, key)));
  }
  document_->known[path_].insert(key);
  document_->known[join_path(path_, key)];
  return ConfigReader(document_, join_path(path_, key));
}

std::vector<ConfigReader> ConfigReader::tables(const std::string& key) {
  const toml::node* found = document_->value(path_, key);
  if (found == nullptr || found->is_table()) return {table(key)};
  if (!found->is_array_of_tables()) {
    document_->reject(path_, key, *found, fmt::format("tables [[{}]]", join_path(path_, key)));
  }
  document_->known[path_].insert(key);
  std::vector<ConfigReader> readers;
  for (std::size_t i = 0; i < found->as_array()->size(); ++i) {
    const std::string path = join_path(path_, indexed(key, i));
    document_->known[path];
    readers.push_back(ConfigReader(document_, path));
  }
  return readers;
}

void ConfigReader::require_table(const std::string& key, const std::string& expected) const {
  const toml::table* const at = Document::find(document_->given, path_);
  if (at != nullptr && at->contains(key)) return;
  const Error missing(Status::kUsage, fmt::format("{}: no {}", document_->source_name, expected));
  if (at == nullptr) throw missing;
  for (const auto& [other, node] : *at) {
    const std::string name(other.str());
    // At most two typos; case does not count.
    constexpr int kFewEdits = 2;
    const bool is_table = node.is_table() || node.is_array_of_tables();
    if (!is_table || edit_distance(lower_case(name), key) > kFewEdits) continue;
    throw Error(Status::kUsage, fmt::format("{}: unknown table [{}]; expected [{}]",
                                            document_->place(join_path(path_, name), node),
                                            join_path(path_, name), join_path(path_, key)));
  }
  throw missing;
}

std::vector<std::string> ConfigReader::table_names() const {
  std::vector<std::string> names;
  if (const toml::table* at = Document::find(document_->given, path_)) {
    for (const auto& [key, node] : *at) {
      if (!node.is_table()) continue;
      names.emplace_back(key.str());
      if (names.back().find('\0') != std::string::npos) {
        throw Error(Status::kUsage, fmt::format("{}: a zero byte in the name of a table in [{}]",
                                                document_->place("", node), path_));
      }
    }
  }
  return names;
}

std::int64_t ConfigReader::integer(const std::string& key, std::int64_t default_value,
                                   std::int64_t min, std::int64_t max) {
  std::int64_t result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::optional<std::int64_t> value = found->value_exact<std::int64_t>();
    if (!value || *value < min || *value > max) {
      document_->reject(path_, key, *found, "an integer" + integer_range(min, max));
    }
    result = *value;
  }
  document_->resolve(path_, key, result);
  return result;
}

double ConfigReader::number(const std::string& key, double default_value, double min, double max) {
  double result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::optional<double> value =
        found->is_number() ? found->value<double>() : std::optional<double>();
    if (!value || !(*value >= min && *value <= max)) {
      document_->reject(path_, key, *found, "a number" + number_range(min, max));
    }
    result = *value;
  }
  document_->resolve(path_, key, result);
  return result;
}

bool ConfigReader::flag(const std::string& key, bool default_value) {
  bool result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::optional<bool> value = found->value_exact<bool>();
    if (!value) document_->reject(path_, key, *found, "true or false");
    result = *value;
  }
  document_->resolve(path_, key, result);
  return result;
}

std::string ConfigReader::text(const std::string& key, const std::string& default_value) {
  std::string result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::optional<std::string> value = text_of(*found);
    if (!value) document_->reject(path_, key, *found, kText);
    result = *value;
  }
  document_->resolve(path_, key, result);
  return result;
}

std::string ConfigReader::path(const std::string& key, const std::string& default_value) {
  const std::string given = text(key, default_value);
  const char* const home = given.starts_with("~/") ? std::getenv("HOME") : nullptr;
  return home == nullptr ? given : home + given.substr(1);
}

std::string ConfigReader::choice(const std::string& key, const std::string& default_value,
                                 const std::vector<std::string>& choices) {
  std::string result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::optional<std::string> value = found->value_exact<std::string>();
    if (!value || std::find(choices.begin(), choices.end(), *value) == choices.end()) {
      document_->reject(path_, key, *found,
                        fmt::format("one of \"{}\"", fmt::join(choices, "\", \"")));
    }
    result = *value;
  }
  document_->resolve(path_, key, result);
  return result;
}

std::vector<std::int64_t> ConfigReader::integers(const std::string& key,
                                                 const std::vector<std::int64_t>& default_value,
                                                 std::int64_t min, std::int64_t max) {
  return read_list(*document_, path_, key, default_value,
                   "a list of integers" + integer_range(min, max), [&](const toml::node& element) {
                     const auto value = element.value_exact<std::int64_t>();
                     return value && *value >= min && *value <= max ? value : std::nullopt;
                   });
}

std::vector<std::string> ConfigReader::texts(const std::string& key,
                                             const std::vector<std::string>& default_value) {
  return read_list(*document_, path_, key, default_value,
                   "a list of quoted strings without zero bytes", text_of);
}

std::vector<double> ConfigReader::numbers(const std::string& key,
                                          const std::vector<double>& default_value, double min,
                                          double max) {
  return read_list(*document_, path_, key, default_value,
                   "a list of numbers" + number_range(min, max), [&](const toml::node& element) {
                     const auto value =
                         element.is_number() ? element.value<double>() : std::nullopt;
                     return value && *value >= min && *value <= max ? value : std::nullopt;
                   });
}

bool ConfigReader::has(const std::string& key) const {
  return document_->value(path_, key) != nullptr;
}

bool ConfigReader::is_text(const std::string& key) const {
  const toml::node* found = document_->value(path_, key);
  return found != nullptr && found->is_string();
}

bool ConfigReader::is_list(const std::string& key) const {
  const toml::node* found = document_->value(path_, key);
  return found != nullptr && found->is_array();
}

std::string ConfigReader::place(const std::string& key) const {
  const std::string path = join_path(path_, key);
  const toml::node* found = document_->value(path_, key);
  if (found == nullptr) return fmt::format("{}: {}", document_->source_name, path);
  return fmt::format("{}: {}", document_->place(path, *found), path);
}

void ConfigReader::finish() const { document_->finish(path_); }

std::string ConfigReader::resolved() const { return toml_document(document_->resolved); }

std::string ConfigReader::resolved_table() const {
  const toml::table* table = Document::find(document_->resolved, path_);
  return table == nullptr ? "" : toml_document(*table);
}

}  // namespace l2o
