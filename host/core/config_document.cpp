#include "host/core/config_document.h"

#include <fmt/format.h>

#include "host/core/error.h"
#include "host/core/nearest_name.h"
#include "host/core/toml_writer.h"

namespace l2o {
namespace {

/// The value as TOML, truncated so that a message stays one readable line.
std::string truncated_toml(const toml::node& node) {
  std::string text = toml_value(node);
  constexpr std::size_t kLongest = 60;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

}  // namespace

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> keys;
  for (std::size_t start = 0;;) {
    const std::size_t dot = path.find('.', start);
    keys.emplace_back(path.substr(start, dot - start));
    if (dot == std::string_view::npos) return keys;
    start = dot + 1;
  }
}

std::pair<std::string, std::optional<std::size_t>> split_index(const std::string& key) {
  const std::size_t bracket = key.find('[');
  if (bracket == std::string::npos || key.back() != ']') return {key, std::nullopt};
  const std::string digits = key.substr(bracket + 1, key.size() - bracket - 2);
  const bool is_number = !digits.empty() && digits.size() < 6 &&
                         digits.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number) return {key, std::nullopt};
  return {key.substr(0, bracket), std::stoul(digits)};
}

std::string indexed(const std::string& key, std::size_t index) {
  return fmt::format("{}[{}]", key, index);
}

std::string join_path(const std::string& table, const std::string& key) {
  return table.empty() ? key : table + "." + key;
}

std::optional<std::string> text_of(const toml::node& node) {
  std::optional<std::string> text = node.value_exact<std::string>();
  if (text && text->find('\0') != std::string::npos) text.reset();
  return text;
}

const toml::table* ConfigReader::Document::find(const toml::table& root, const std::string& path) {
  if (path.empty()) return &root;
  return root.at_path(path).as_table();
}

toml::table* ConfigReader::Document::make_step(toml::table& at, const std::string& key) {
  const auto [name, index] = split_index(key);
  if (!index) return at.insert(name, toml::table{}).first->second.as_table();
  toml::array* const array = at.insert(name, toml::array{}).first->second.as_array();
  if (array == nullptr) return nullptr;
  while (array->size() <= *index) array->push_back(toml::table{});
  return array->get(*index)->as_table();
}

toml::table& ConfigReader::Document::make(toml::table& root, const std::string& path) {
  toml::table* at = &root;
  if (path.empty()) return *at;
  for (const std::string& key : split_path(path)) {
    at = make_step(*at, key);
    if (at == nullptr) throw Error(Status::kInternal, "config: " + path + " is not a table");
  }
  return *at;
}

const toml::node* ConfigReader::Document::value(const std::string& table,
                                                const std::string& key) const {
  const toml::table* at = find(given, table);
  return at == nullptr ? nullptr : at->get(key);
}

std::string ConfigReader::Document::place(const std::string& path, const toml::node& node) const {
  if (overridden.contains(path)) return "--set";
  const toml::source_position begin = node.source().begin;
  return fmt::format("{}:{}:{}", source_name, begin.line, begin.column);
}

void ConfigReader::Document::reject(const std::string& table, const std::string& key,
                                    const toml::node& found, const std::string& expected) const {
  const std::string path = join_path(table, key);
  throw Error(Status::kUsage, fmt::format("{}: {} = {}: expected {}", place(path, found), path,
                                          truncated_toml(found), expected));
}

void ConfigReader::Document::reject_unknown(const std::string& table, const std::string& key,
                                            const toml::node& node) const {
  const std::string path = join_path(table, key);
  std::string message = fmt::format("{}: unknown key {}", place(path, node), path);
  std::string nearest;
  if (const auto here = known.find(table); here != known.end()) {
    nearest = nearest_name(key, {here->second.begin(), here->second.end()});
    if (!nearest.empty()) nearest = join_path(table, nearest);
  }
  // A known key in the wrong table is a likelier mistake than a misspelled one in this table.
  for (const auto& [other_table, keys] : known) {
    if (keys.contains(key)) nearest = join_path(other_table, key);
  }
  message += nearest.empty() ? "; no key is known here" : "; the nearest known key is " + nearest;
  throw Error(Status::kUsage, message);
}

void ConfigReader::Document::finish(const std::string& table) const {
  const toml::table* at = find(given, table);
  if (at == nullptr) return;
  const auto here = known.find(table);
  for (const auto& [toml_key, node] : *at) {
    const std::string key(toml_key.str());
    if (here == known.end() || !here->second.contains(key)) reject_unknown(table, key, node);
    if (node.is_table() && known.contains(join_path(table, key))) finish(join_path(table, key));
    if (!node.is_array_of_tables()) continue;
    for (std::size_t i = 0; i < node.as_array()->size(); ++i) {
      const std::string element = join_path(table, indexed(key, i));
      if (known.contains(element)) finish(element);
    }
  }
}

}  // namespace l2o
