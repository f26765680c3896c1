#include "host/optimizer/model_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <set>
#include <string_view>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/core/safetensors.h"
#include "host/optimizer/lstm_settings.h"
#include "host/optimizer/model_format.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
using namespace model_format;
namespace {

/// The largest model has 0.7 MB of tensors; the header has a separate bound.
constexpr std::size_t kMaxModelBytes = std::size_t{4} << 20;

/// XXH64 over names, sizes and values of everything but the checksum itself, sorted by name, so
/// that it is independent of the order in which a tool wrote the file.
std::string checksum(const Safetensors& content) {
  const std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> state(XXH64_createState(),
                                                                         &XXH64_freeState);
  XXH64_reset(state.get(), 0);
  const auto add_bytes = [&](const void* data, std::size_t size) {
    const std::uint64_t length = size;
    XXH64_update(state.get(), &length, sizeof length);
    XXH64_update(state.get(), data, size);
  };
  for (const auto& [key, value] : content.metadata) {
    if (key == kChecksum) continue;
    add_bytes(key.data(), key.size());
    add_bytes(value.data(), value.size());
  }
  for (const auto& [name, tensor] : content.tensors) {
    add_bytes(name.data(), name.size());
    add_bytes(tensor.shape.data(), tensor.shape.size() * sizeof(std::int64_t));
    add_bytes(tensor.values.data(), tensor.values.size() * sizeof(float));
  }
  return fmt::format("xxh64:{:016x}", XXH64_digest(state.get()));
}

std::vector<std::string> split_names(const std::string& list) {
  std::vector<std::string> names;
  for (std::size_t start = 0;;) {
    const std::size_t comma = list.find(',', start);
    names.push_back(list.substr(start, comma - start));
    if (comma == std::string::npos) return names;
    start = comma + 1;
  }
}

/// Prefix of the names of a rule's metadata and tensors.
std::string prefix_of(const ParameterGroup& group) {
  return group.name.empty() ? "" : fmt::format("{}.", group.name);
}

/// Turns a parsed file into a model; names the input in every error.
class Loader {
 public:
  Loader(const std::string& source_name, Safetensors content)
      : source_name_(source_name), content_(std::move(content)), version_(read_version()) {}

  Model load() {
    const std::vector<ParameterGroup> groups = read_groups();
    take_keys(groups);
    if (checksum(content_) != text(kChecksum)) fail("its checksum does not match its content");
    Model model;
    std::size_t tensors = 0;
    for (const ParameterGroup& group : groups) {
      Optimizer rule;
      rule.cell = cell_config(prefix_of(group));
      rule.trained_on = text(kTrainedOn);
      tensors += tensor_places(rule.cell.lstm).size();
      model.rules.push_back({group, std::move(rule)});
    }
    if (content_.tensors.size() != tensors) {
      fail(fmt::format("it has {} tensors; expected {}", content_.tensors.size(), tensors));
    }
    for (GroupRule& rule : model.rules) {
      rule.optimizer.meta_parameters = meta_parameters(prefix_of(rule.group), rule.optimizer.cell);
    }
    return model;
  }

 private:
  [[noreturn]] void fail(const std::string& cause) const {
    throw Error(Status::kBadData, fmt::format("{} is not a usable model: {}", source_name_, cause));
  }

  int read_version() const {
    const std::string& version = text(kFormatVersion);
    for (int known = kOneRule; known <= kWithInputProjection; ++known) {
      if (version == std::to_string(known)) return known;
    }
    fail(fmt::format("format version \"{}\"; this program reads versions {} to {}", version,
                     kOneRule, kWithInputProjection));
  }

  std::vector<ParameterGroup> read_groups() const {
    const bool has_rules = version_ == kSeveralRules ||
                           (version_ > kSeveralRules && content_.metadata.contains(kRules));
    if (!has_rules) return one_parameter_group();
    std::vector<ParameterGroup> groups;
    for (const std::string& name : split_names(text(kRules))) {
      if (name.empty()) fail("a rule without a name");
      groups.push_back({name, split_names(text(name + "." + kParameters))});
    }
    return groups;
  }

  /// Requires all keys to be present. Keys added by other programs are dropped; the checksum does
  /// not cover them.
  void take_keys(const std::vector<ParameterGroup>& groups) {
    std::set<std::string> expected = {kFormatVersion, kTrainedOn, kChecksum};
    for (const ParameterGroup& group : groups) {
      expected.insert(prefix_of(group) + kCell);
      const LstmConfig any;
      visit_lstm_settings(any, KeyNames{prefix_of(group), version_, expected});
      if (group.name.empty()) continue;
      expected.insert(kRules);
      if (!expected.insert(prefix_of(group) + kParameters).second) {
        fail(fmt::format("two rules are named {}", group.name));
      }
    }
    for (const std::string& key : expected) text(key);
    std::erase_if(content_.metadata,
                  [&](const auto& entry) { return !expected.contains(entry.first); });
  }

  const std::string& text(const std::string& key) const {
    const auto found = content_.metadata.find(key);
    if (found == content_.metadata.end()) {
      fail(fmt::format("metadata key \"{}\" is missing", key));
    }
    return found->second;
  }

  CellConfig cell_config(const std::string& prefix) const {
    const std::string& name = text(prefix + kCell);
    if (name != LstmCell::kName) {
      fail(fmt::format("unknown cell \"{}\"; expected \"{}\"", name, LstmCell::kName));
    }
    CellConfig cell;
    cell.kind = kLstmKind;
    cell.lstm = lstm_config(prefix);
    return cell;
  }

  /// Collects the names of the keys that a rule has in this file.
  struct KeyNames {
    std::string prefix;
    int version;
    std::set<std::string>& keys;

    void integer(const char* key, int, int, int) { add(key); }
    void width(const char* key, int, int) { add(key); }
    void number(const char* key, float, float, float) { add(key); }
    void scale(const char* key, float) { add(key); }
    template <class Enum>
    void choice(const char* key, Enum, SettingNames) {
      add(key);
    }
    void add(const char* key) {
      if (has_setting(version, key)) keys.insert(prefix + key);
    }
  };

  /// Reads the settings of a rule.
  struct Settings {
    const Loader& loader;
    std::string prefix;

    void integer(const char* key, int& value, int min, int max) {
      value = loader.parse_number<int>(prefix + key, min, max);
    }
    void width(const char* key, int& value, int max) {
      if (has_setting(loader.version_, key)) integer(key, value, 0, max);
    }
    void number(const char* key, float& value, float min, float max) {
      value = loader.parse_number<float>(prefix + key, min, max);
    }
    void scale(const char* key, float& value) {
      constexpr float kLargest = std::numeric_limits<float>::max();
      number(key, value, -kLargest, kLargest);
    }
    template <class Enum>
    void choice(const char* key, Enum& value, SettingNames names) {
      if (!has_setting(loader.version_, key)) return;
      const std::string& name = loader.text(prefix + key);
      const auto found = std::find(std::begin(names), std::end(names), name);
      if (found == std::end(names)) loader.fail(fmt::format("unknown {} \"{}\"", key, name));
      value = static_cast<Enum>(found - std::begin(names));
    }
  };

  /// Parses a value that consists of a number only.
  template <class Number>
  Number parse_number(const std::string& key, Number min, Number max) const {
    const std::string& value = text(key);
    Number result{};
    const char* end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, result);
    // The negation catches NaN.
    if (error != std::errc() || stop != end || !(min <= result && result <= max)) {
      fail(fmt::format("{} is \"{}\"; expected a number from {} to {}", key, value, min, max));
    }
    return result;
  }

  LstmConfig lstm_config(const std::string& prefix) const {
    LstmConfig lstm;
    visit_lstm_settings(lstm, Settings{*this, prefix});
    const std::string contradiction = lstm_contradiction(lstm);
    if (!contradiction.empty()) fail(contradiction);
    return lstm;
  }

  std::vector<float> meta_parameters(const std::string& prefix, const CellConfig& cell) const {
    std::vector<float> phi(static_cast<std::size_t>(LstmCell::meta_size(cell)));
    for (const TensorPlace& place : tensor_places(cell.lstm)) {
      const std::string name = prefix + place.name;
      const auto found = content_.tensors.find(name);
      if (found == content_.tensors.end()) fail(fmt::format("no tensor \"{}\"", name));
      const Tensor& tensor = found->second;
      if (tensor.shape != place.shape) {
        fail(fmt::format("tensor \"{}\" does not have shape [{}]", name,
                         fmt::join(place.shape, ", ")));
      }
      float* target = phi.data() + place.offset;
      for (const float value : tensor.values) {
        // Adding 0 would turn -0 into 0: loading and saving again must give the same file.
        if (!place.second_bias) *target = value;
        if (place.second_bias && value != 0.0F) *target += value;
        if (!std::isfinite(*target)) {
          fail(fmt::format("tensor \"{}\" holds a non-finite value", name));
        }
        ++target;
      }
    }
    return phi;
  }

  const std::string& source_name_;
  Safetensors content_;
  int version_;
};

}  // namespace

namespace {

/// Writes the settings of a rule.
struct ToMetadata {
  std::string prefix;
  int version;
  decltype(Safetensors::metadata)& metadata;

  void integer(const char* key, int value, int, int) { add(key, std::to_string(value)); }
  void width(const char* key, int value, int) { add(key, std::to_string(value)); }
  void number(const char* key, float value, float, float) { scale(key, value); }
  void scale(const char* key, float value) {
    add(key, fmt::format("{}", value));  // the shortest text that reads back exactly
  }
  template <class Enum>
  void choice(const char* key, Enum value, SettingNames names) {
    add(key, names[static_cast<int>(value)]);
  }
  void add(const char* key, const std::string& value) {
    if (has_setting(version, key)) metadata[prefix + key] = value;
  }
};

/// Adds a rule's metadata and tensors.
void add_rule(const GroupRule& rule, int version, const std::string& target_name,
              Safetensors& content) {
  const Optimizer& optimizer = rule.optimizer;
  if (optimizer.cell.kind != kLstmKind) {
    throw Error(Status::kUsage, fmt::format("a model file contains learned rules; {} has nothing "
                                            "to save",
                                            cell_name(optimizer.cell)));
  }
  const LstmConfig& lstm = optimizer.cell.lstm;
  const std::vector<float>& phi = optimizer.meta_parameters;
  if (phi.size() != static_cast<std::size_t>(LstmCell::meta_size(optimizer.cell))) {
    throw Error(Status::kInternal,
                "the number of meta-parameters does not match the shape of the model");
  }
  for (const float value : phi) {
    if (!std::isfinite(value)) {
      throw Error(Status::kDiverged,
                  fmt::format("not saving {}: it has non-finite meta-parameters", target_name));
    }
  }

  const std::string prefix = prefix_of(rule.group);
  content.metadata[prefix + kCell] = LstmCell::kName;
  visit_lstm_settings(lstm, ToMetadata{prefix, version, content.metadata});
  for (const TensorPlace& place : tensor_places(lstm)) {
    std::int64_t size = 1;
    for (const std::int64_t extent : place.shape) size *= extent;
    Tensor& tensor = content.tensors[prefix + place.name];
    tensor.shape = place.shape;
    const auto begin = phi.begin() + place.offset;
    tensor.values.assign(begin, begin + size);
    if (place.second_bias) tensor.values.assign(tensor.values.size(), 0.0F);
  }
}

}  // namespace

std::vector<std::byte> model_bytes(const Model& model, const std::string& target_name) {
  Safetensors content;
  const bool has_groups = !model.rules.front().group.name.empty();
  int version = has_groups ? kSeveralRules : kOneRule;
  for (const GroupRule& rule : model.rules) {
    version = std::max(version, first_version(rule.optimizer.cell.lstm));
  }
  content.metadata.emplace(kFormatVersion, std::to_string(version));
  content.metadata[kTrainedOn] = model.rules.front().optimizer.trained_on;
  std::vector<std::string> names;
  for (const GroupRule& rule : model.rules) {
    add_rule(rule, version, target_name, content);
    if (!has_groups) continue;
    names.push_back(rule.group.name);
    content.metadata[prefix_of(rule.group) + kParameters] =
        fmt::format("{}", fmt::join(rule.group.patterns, ","));
  }
  if (has_groups) content.metadata[kRules] = fmt::format("{}", fmt::join(names, ","));
  content.metadata[kChecksum] = checksum(content);
  return write_safetensors(content);
}

void save_model(const std::string& path, const Model& model) {
  write_file_atomically(path, model_bytes(model, path));
}

void save_model(const std::string& path, const Optimizer& optimizer) {
  save_model(path, make_model(optimizer));
}

Model load_model(const std::string& path) {
  return parse_model(read_file(path, kMaxModelBytes), path);
}

Model parse_model(std::span<const std::byte> bytes, const std::string& source_name) {
  return Loader(source_name, parse_safetensors(bytes, source_name)).load();
}

}  // namespace l2o
