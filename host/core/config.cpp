#include "host/core/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/core/nearest_name.h"
#include "host/core/toml_writer.h"

namespace l2o {
namespace {

// Bounds on what a hostile file can cost. Every level of nesting that the parser does not bound
// itself takes a dot in a key, and nested tables are destroyed recursively.
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxDots = 4096;

/// Dots but the decimal points of numbers. A key like 1.2 passes for a number; what stands between
/// two such keys does not, so they make it twice as deep at most.
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

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> keys;
  for (std::size_t start = 0;;) {
    const std::size_t dot = path.find('.', start);
    keys.emplace_back(path.substr(start, dot - start));
    if (dot == std::string_view::npos) return keys;
    start = dot + 1;
  }
}

std::string join(const std::string& table, const std::string& key) {
  return table.empty() ? key : table + "." + key;
}

/// The value as TOML, shortened so that a message stays one readable line.
std::string shown(const toml::node& node) {
  std::string text = toml_value(node);
  constexpr std::size_t kLongest = 60;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
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

}  // namespace

struct ConfigReader::Document {
  std::string source_name;
  toml::table given;
  toml::table resolved;
  std::set<std::string> overridden;                    // full paths given by set()
  std::map<std::string, std::set<std::string>> known;  // table -> keys that were asked for

  /// The table at `path` below `root`, or null.
  static const toml::table* find(const toml::table& root, const std::string& path) {
    if (path.empty()) return &root;
    return root.at_path(path).as_table();
  }

  static toml::table& make(toml::table& root, const std::string& path) {
    toml::table* at = &root;
    if (path.empty()) return *at;
    for (const std::string& key : split(path)) {
      at = at->insert(key, toml::table{}).first->second.as_table();
      if (at == nullptr) throw Error(Status::kInternal, "config: " + path + " is not a table");
    }
    return *at;
  }

  const toml::node* value(const std::string& table, const std::string& key) const {
    const toml::table* at = find(given, table);
    return at == nullptr ? nullptr : at->get(key);
  }

  /// "file.toml:3:8" or "--set".
  std::string place(const std::string& path, const toml::node& node) const {
    if (overridden.contains(path)) return "--set";
    const toml::source_position begin = node.source().begin;
    return fmt::format("{}:{}:{}", source_name, begin.line, begin.column);
  }

  [[noreturn]] void reject(const std::string& table, const std::string& key,
                           const toml::node& found, const std::string& expected) const {
    const std::string path = join(table, key);
    throw Error(Status::kUsage, fmt::format("{}: {} = {}: expected {}", place(path, found), path,
                                            shown(found), expected));
  }

  /// Takes down that `key` is known, and what it resolves to.
  template <class Value>
  void resolve(const std::string& table, const std::string& key, Value&& resolved_value) {
    known[table].insert(key);
    make(resolved, table).insert_or_assign(key, std::forward<Value>(resolved_value));
  }

  [[noreturn]] void reject_unknown(const std::string& table, const std::string& key,
                                   const toml::node& node) const {
    const std::string path = join(table, key);
    std::string message = fmt::format("{}: unknown key {}", place(path, node), path);
    std::string nearest;
    if (const auto here = known.find(table); here != known.end()) {
      nearest = nearest_name(key, {here->second.begin(), here->second.end()});
      if (!nearest.empty()) nearest = join(table, nearest);
    }
    // A known key in the wrong table is a likelier slip than a different word in this one.
    for (const auto& [other_table, keys] : known) {
      if (keys.contains(key)) nearest = join(other_table, key);
    }
    message += nearest.empty() ? "; no key is known here" : "; the nearest known key is " + nearest;
    throw Error(Status::kUsage, message);
  }

  void finish(const std::string& table) const {
    const toml::table* at = find(given, table);
    if (at == nullptr) return;
    const auto here = known.find(table);
    for (const auto& [toml_key, node] : *at) {
      const std::string key(toml_key.str());
      if (here == known.end() || !here->second.contains(key)) reject_unknown(table, key, node);
      if (node.is_table() && known.contains(join(table, key))) finish(join(table, key));
    }
  }
};

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
  std::vector<std::string> keys = split(path);
  constexpr std::size_t kMaxDepth = 16;
  if (keys.size() > kMaxDepth ||
      !std::all_of(keys.begin(), keys.end(), [](const auto& key) { return is_bare(key, "_-"); })) {
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
    at = at->insert(keys[i], toml::table{}).first->second.as_table();
    if (at == nullptr) throw malformed(keys[i] + " is not a table");
  }
  parsed.get("value")->visit(
      [&](auto& node) { at->insert_or_assign(keys.back(), std::move(node)); });
  document_->overridden.insert(join(path_, path));
}

ConfigReader ConfigReader::table(const std::string& key) {
  const toml::node* found = document_->value(path_, key);
  if (found != nullptr && !found->is_table()) {
    document_->reject(path_, key, *found, fmt::format("a table [{}]", join(path_, key)));
  }
  document_->known[path_].insert(key);
  document_->known[join(path_, key)];
  return ConfigReader(document_, join(path_, key));
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

std::string ConfigReader::text(const std::string& key, const std::string& default_value) {
  std::string result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::optional<std::string> value = found->value_exact<std::string>();
    if (!value) document_->reject(path_, key, *found, "a text in quotes");
    result = *value;
  }
  document_->resolve(path_, key, result);
  return result;
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
  std::vector<std::int64_t> result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::string expected = "a list of integers" + integer_range(min, max);
    if (!found->is_array()) document_->reject(path_, key, *found, expected);
    result.clear();
    for (const toml::node& element : *found->as_array()) {
      const std::optional<std::int64_t> value = element.value_exact<std::int64_t>();
      if (!value || *value < min || *value > max) document_->reject(path_, key, *found, expected);
      result.push_back(*value);
    }
  }
  toml::array resolved_value;
  for (const std::int64_t value : result) resolved_value.push_back(value);
  document_->resolve(path_, key, std::move(resolved_value));
  return result;
}

std::vector<double> ConfigReader::numbers(const std::string& key,
                                          const std::vector<double>& default_value, double min,
                                          double max) {
  std::vector<double> result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const std::string expected = "a list of numbers" + number_range(min, max);
    if (!found->is_array()) document_->reject(path_, key, *found, expected);
    result.clear();
    for (const toml::node& element : *found->as_array()) {
      const std::optional<double> value =
          element.is_number() ? element.value<double>() : std::optional<double>();
      if (!value || !(*value >= min && *value <= max)) {
        document_->reject(path_, key, *found, expected);
      }
      result.push_back(*value);
    }
  }
  toml::array resolved_value;
  for (const double value : result) resolved_value.push_back(value);
  document_->resolve(path_, key, std::move(resolved_value));
  return result;
}

bool ConfigReader::has(const std::string& key) const {
  return document_->value(path_, key) != nullptr;
}

bool ConfigReader::is_text(const std::string& key) const {
  const toml::node* found = document_->value(path_, key);
  return found != nullptr && found->is_string();
}

void ConfigReader::finish() const { document_->finish(path_); }

std::string ConfigReader::resolved() const { return toml_document(document_->resolved); }

}  // namespace l2o
