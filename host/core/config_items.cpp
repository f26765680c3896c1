// Lists of strings, integers and nested lists of them in configurations.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/core/config.h"
#include "host/core/config_document.h"

namespace l2o {
namespace {

constexpr int kMaxItemDepth = 8;

/// None if an element is of another type or nested too deeply.
std::optional<std::vector<ConfigItem>> items_of(const toml::array& array, int depth) {
  std::vector<ConfigItem> items;
  for (const toml::node& element : array) {
    const std::optional<std::string> text = text_of(element);
    const std::optional<std::int64_t> integer = element.value_exact<std::int64_t>();
    if (text && !text->empty()) {
      items.push_back(ConfigItem::of_text(*text));
    } else if (integer && *integer > 0) {
      items.push_back(ConfigItem::of_integer(*integer));
    } else if (element.is_array() && depth < kMaxItemDepth) {
      auto list = items_of(*element.as_array(), depth + 1);
      if (!list) return std::nullopt;
      items.push_back({.text = {}, .list = std::move(*list)});
    } else {
      return std::nullopt;
    }
  }
  return items;
}

toml::array to_toml(const std::vector<ConfigItem>& items) {
  toml::array array;
  for (const ConfigItem& item : items) {
    if (item.is_integer) {
      array.push_back(item.integer);
    } else if (item.is_list()) {
      array.push_back(to_toml(item.list));
    } else {
      array.push_back(item.text);
    }
  }
  return array;
}

}  // namespace

std::vector<ConfigItem> ConfigReader::items(const std::string& key,
                                            const std::vector<ConfigItem>& default_value) {
  std::vector<ConfigItem> result = default_value;
  if (const toml::node* found = document_->value(path_, key)) {
    const toml::array* array = found->as_array();
    std::optional<std::vector<ConfigItem>> items =
        array == nullptr ? std::nullopt : items_of(*array, 1);
    if (!items) {
      document_->reject(path_, key, *found,
                        "a list of quoted strings, positive integers, and lists of them");
    }
    result = std::move(*items);
  }
  document_->resolve(path_, key, to_toml(result));
  return result;
}

}  // namespace l2o
