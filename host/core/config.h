// Strict configuration: TOML in, every key accounted for.
//
// Code asks a ConfigReader for the keys it knows, with default and range. finish() then rejects
// every key nobody asked for, naming it and the nearest known one. What was read, defaults
// included, is the resolved configuration, which is stored with every result.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace l2o {

/// An element of a list that has texts, integers and lists of the same.
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
  /// Throws kUsage with file, line and column where the text is not TOML (duplicate keys included),
  /// kInputOutput where the file cannot be read.
  static ConfigReader from_file(const std::string& path);
  static ConfigReader from_text(std::string_view text, const std::string& source_name);

  /// Overrides one value: "meta_optimizer.learning_rate=0.001", "task[1].batch_size=64" (the value
  /// as TOML; a bare word is a string). Throws kUsage where it is not of that form.
  void set(std::string_view assignment);
  /// The same of a text, whatever characters it has: set_text("train", "from", path).
  void set_text(const std::string& table, const std::string& key, const std::string& value);

  /// A sub-table; empty when absent. All readers made from one text share their bookkeeping.
  ConfigReader table(const std::string& key);
  /// The tables of [[key]], at least one; or [key] alone, which is empty when absent.
  std::vector<ConfigReader> tables(const std::string& key);
  /// Throws kUsage where there is neither [key] nor [[key]]: "file.toml: no " and what was
  /// `expected`; a table that was probably meant to be it is named instead.
  void require_table(const std::string& key, const std::string& expected) const;
  /// Keys of this table that are tables themselves, in the order of the alphabet.
  std::vector<std::string> table_names() const;

  // Each throws kUsage naming the key (with its table), the value found and what was expected.
  std::int64_t integer(const std::string& key, std::int64_t default_value, std::int64_t min,
                       std::int64_t max);
  double number(const std::string& key, double default_value, double min, double max);
  bool flag(const std::string& key, bool default_value);
  /// Texts have no zero bytes, at which paths and names would end.
  std::string text(const std::string& key, const std::string& default_value);
  /// The same of a path: "~/" at its beginning is the user's home directory.
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
  /// Texts, none of them empty, integers from 1 on, and lists of them, nested at most eight deep.
  std::vector<ConfigItem> items(const std::string& key,
                                const std::vector<ConfigItem>& default_value);
  /// True when the key stands in the text (asking does not make it known).
  bool has(const std::string& key) const;
  /// True when the value is text (for keys that take a name or a list).
  bool is_text(const std::string& key) const;
  /// True when the value is a list (for keys that take a number or a list).
  bool is_list(const std::string& key) const;
  /// What a message about the key's value begins with: "file.toml:3:8: task.layers".
  std::string place(const std::string& key) const;

  /// Throws kUsage for the first key that nobody asked for, in this table and those below it.
  void finish() const;
  /// The resolved configuration of the whole text, as TOML.
  std::string resolved() const;
  /// What was read of this table alone.
  std::string resolved_table() const;

 private:
  struct Document;
  ConfigReader(std::shared_ptr<Document> document, std::string path);

  std::shared_ptr<Document> document_;
  std::string path_;  // of this table: "" or "a.b"
};

}  // namespace l2o
