// Strict configuration: TOML in, every key accounted for.
//
// Code asks a ConfigReader for the keys it knows, with default and range. finish() then rejects
// every key that was not asked for, naming it and the nearest known one. The values read, defaults
// included, are the resolved configuration, which is stored with every result.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace l2o {

/// An element of a list of strings, integers and nested lists of them.
struct ConfigItem {
  bool is_integer = false;
  std::int64_t integer = 0;
  std::string text;
  std::vector<ConfigItem> list;
  bool is_list() const { return !is_integer && text.empty(); }

  static ConfigItem of_text(const std::string& text) { return {.text = text, .list = {}}; }
  static ConfigItem of_integer(std::int64_t value) {
    return {.is_integer = true, .integer = value, .text = {}, .list = {}};
  }
};

class ConfigReader {
 public:
  /// Throws kUsage with file, line and column if the text is not TOML (duplicate keys included),
  /// kInputOutput if the file cannot be read.
  static ConfigReader from_file(const std::string& path);
  static ConfigReader from_text(std::string_view text, const std::string& source_name);

  /// Overrides one value: "meta_optimizer.learning_rate=0.001", "task[1].batch_size=64" (the value
  /// as TOML; a bare word is a string). Throws kUsage if it does not have that form.
  void set(std::string_view assignment);
  /// The same for a string of any characters: set_text("train", "from", path). Throws kUsage if it
  /// is not UTF-8, as all of a configuration must be.
  void set_text(const std::string& table, const std::string& key, const std::string& value);

  /// A sub-table; empty if absent. All readers made from one text share their bookkeeping.
  ConfigReader table(const std::string& key);
  /// The tables of [[key]], at least one; or only [key], which is empty if absent.
  std::vector<ConfigReader> tables(const std::string& key);
  /// Throws kUsage if there is neither [key] nor [[key]]: "file.toml: no " and `expected`; if the
  /// name of another table looks like a misspelled `key`, names that table instead.
  void require_table(const std::string& key, const std::string& expected) const;
  /// Keys of this table that are tables themselves, in alphabetical order.
  std::vector<std::string> table_names() const;

  // Each throws kUsage naming the key (with its table), the value found and the expected one.
  std::int64_t integer(const std::string& key, std::int64_t default_value, std::int64_t min,
                       std::int64_t max);
  double number(const std::string& key, double default_value, double min, double max);
  bool flag(const std::string& key, bool default_value);
  /// Strings have no zero bytes, which would terminate paths and names.
  std::string text(const std::string& key, const std::string& default_value);
  /// The same for a path: a leading "~/" is the user's home directory.
  std::string path(const std::string& key, const std::string& default_value);
  std::string choice(const std::string& key, const std::string& default_value,
                     const std::vector<std::string>& choices);
  std::vector<std::int64_t> integers(const std::string& key,
                                     const std::vector<std::int64_t>& default_value,
                                     std::int64_t min, std::int64_t max);
  std::vector<std::string> texts(const std::string& key,
                                 const std::vector<std::string>& default_value);
  std::vector<double> numbers(const std::string& key, const std::vector<double>& default_value,
                              double min, double max);
  /// Non-empty strings, positive integers, and lists of them, nested at most eight deep.
  std::vector<ConfigItem> items(const std::string& key,
                                const std::vector<ConfigItem>& default_value);
  /// True if the key occurs in the text (asking does not make it known).
  bool has(const std::string& key) const;
  /// True if the value is a string (for keys that take a name or a list).
  bool is_text(const std::string& key) const;
  /// True if the value is a list (for keys that take a number or a list).
  bool is_list(const std::string& key) const;
  /// The beginning of a message about the key's value: "file.toml:3:8: task.layers".
  std::string place(const std::string& key) const;

  /// Throws kUsage for the first key that was not asked for, in this table and those below it.
  void finish() const;
  /// The resolved configuration of the whole text, as TOML.
  std::string resolved() const;
  /// The resolved configuration of this table only.
  std::string resolved_table() const;

 private:
  struct Document;
  ConfigReader(std::shared_ptr<Document> document, std::string path);

  std::shared_ptr<Document> document_;
  std::string path_;  // path of this table: "" or "a.b"
};

}  // namespace l2o
