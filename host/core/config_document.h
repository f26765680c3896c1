// The document behind a ConfigReader: the given values, the keys that were asked for, and their
// resolved values.
#pragma once

#include <toml++/toml.h>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/core/config.h"

namespace l2o {

// Paths are keys with dots between them; the elements of an array of tables are "task[1]".

std::vector<std::string> split_path(std::string_view path);
std::string join_path(const std::string& table, const std::string& key);
/// Splits "task[1]" into "task" and 1; anything else has no index.
std::pair<std::string, std::optional<std::size_t>> split_index(const std::string& key);
std::string indexed(const std::string& key, std::size_t index);

/// Nothing if it is not a string, or one that C would cut off at a zero byte.
std::optional<std::string> text_of(const toml::node& node);

struct ConfigReader::Document {
  std::string source_name;
  toml::table given;
  toml::table resolved;
  std::set<std::string> overridden;                    // full paths given by set()
  std::map<std::string, std::set<std::string>> known;  // table -> keys that were asked for

  /// The table at `path` below `root`, or null.
  static const toml::table* find(const toml::table& root, const std::string& path);
  /// The table of that key, or element of an array of tables if it ends with [i]; created if
  /// absent. Null if something else is in its place.
  static toml::table* make_step(toml::table& at, const std::string& key);
  /// The table at `path` below `root`, created if absent.
  static toml::table& make(toml::table& root, const std::string& path);

  /// The given value, or null.
  const toml::node* value(const std::string& table, const std::string& key) const;
  /// "file.toml:3:8" or "--set".
  std::string place(const std::string& path, const toml::node& node) const;
  /// Records that `key` is known, and its resolved value.
  template <class Value>
  void resolve(const std::string& table, const std::string& key, Value&& resolved_value) {
    known[table].insert(key);
    make(resolved, table).insert_or_assign(key, std::forward<Value>(resolved_value));
  }

  // Both throw kUsage.
  [[noreturn]] void reject(const std::string& table, const std::string& key,
                           const toml::node& found, const std::string& expected) const;
  /// If a key at or below `table` was given but not asked for.
  void finish(const std::string& table) const;

 private:
  [[noreturn]] void reject_unknown(const std::string& table, const std::string& key,
                                   const toml::node& node) const;
};

}  // namespace l2o
