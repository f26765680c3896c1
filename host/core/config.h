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

class ConfigReader {
 public:
  /// Throws kUsage with file, line and column where the text is not TOML (duplicate keys included),
  /// kInputOutput where the file cannot be read.
  static ConfigReader from_file(const std::string& path);
  static ConfigReader from_text(std::string_view text, const std::string& source_name);

  /// Overrides one value: "meta_optimizer.learning_rate=0.001" (the value as TOML; a bare word is a
  /// string). Throws kUsage where it is not of that form.
  void set(std::string_view assignment);

  /// A sub-table; empty when absent. All readers made from one text share their bookkeeping.
  ConfigReader table(const std::string& key);

  // Each throws kUsage naming the key (with its table), the value found and what was expected.
  std::int64_t integer(const std::string& key, std::int64_t default_value, std::int64_t min,
                       std::int64_t max);
  double number(const std::string& key, double default_value, double min, double max);
  std::string text(const std::string& key, const std::string& default_value);
  std::string choice(const std::string& key, const std::string& default_value,
                     const std::vector<std::string>& choices);
  std::vector<std::int64_t> integers(const std::string& key,
                                     const std::vector<std::int64_t>& default_value,
                                     std::int64_t min, std::int64_t max);
  std::vector<double> numbers(const std::string& key, const std::vector<double>& default_value,
                              double min, double max);
  /// True when the key stands in the text (asking does not make it known).
  bool has(const std::string& key) const;
  /// True when the value is text (for keys that take a name or a list).
  bool is_text(const std::string& key) const;

  /// Throws kUsage for the first key that nobody asked for, in this table and those below it.
  void finish() const;
  /// The resolved configuration of the whole text, as TOML.
  std::string resolved() const;

 private:
  struct Document;
  ConfigReader(std::shared_ptr<Document> document, std::string path);

  std::shared_ptr<Document> document_;
  std::string path_;  // of this table: "" or "a.b"
};

}  // namespace l2o
