#include "host/optimizee/network/layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "host/core/error.h"
#include "host/core/nearest_name.h"

namespace l2o {

LayerFactory make_dense;            // dense.cpp
LayerFactory make_convolution;      // convolution.cpp
LayerFactory make_max_pool;         // pool.cpp
LayerFactory make_avg_pool;         // pool.cpp
LayerFactory make_global_avg_pool;  // pool.cpp
LayerFactory make_batch_norm;       // batch_norm.cpp
LayerFactory make_layer_norm;       // layer_norm.cpp
LayerFactory make_activation;       // activation.cpp
LayerFactory make_residual;         // residual.cpp

namespace {

LayerKind activation_kind(const std::string& name, Activation activation) {
  return {.name = name, .usage = name, .activation = activation, .make = make_activation};
}

/// A list inside the list.
const LayerKind kResidual = {.name = "residual", .make = make_residual};

}  // namespace

const std::vector<LayerKind>& layer_kinds() {
  static const std::vector<LayerKind> kinds = {
      {.name = "dense",
       .usage = "dense N",
       .largest = {kMostUnits},
       .takes_activation = true,
       .make = make_dense},
      {.name = "conv",
       .usage = "conv C K [stride S] [valid]",
       .largest = {kMostUnits, kLargestWindow},
       .takes_stride = true,
       .takes_valid = true,
       .takes_activation = true,
       .make = make_convolution},
      {.name = "max_pool",
       .usage = "max_pool K [stride S]",
       .largest = {kLargestWindow},
       .takes_stride = true,
       .make = make_max_pool},
      {.name = "avg_pool",
       .usage = "avg_pool K [stride S]",
       .largest = {kLargestWindow},
       .takes_stride = true,
       .make = make_avg_pool},
      {.name = "global_avg_pool", .usage = "global_avg_pool", .make = make_global_avg_pool},
      {.name = "batch_norm",
       .usage = "batch_norm",
       .takes_activation = true,
       .make = make_batch_norm},
      {.name = "layer_norm",
       .usage = "layer_norm",
       .takes_activation = true,
       .make = make_layer_norm},
      activation_kind("relu", Activation::kRelu),
      activation_kind("sigmoid", Activation::kSigmoid),
      activation_kind("tanh", Activation::kTanh),
      activation_kind("elu", Activation::kElu),
      activation_kind("gelu", Activation::kGelu),
      activation_kind("softplus", Activation::kSoftplus),
  };
  return kinds;
}

namespace {

/// The names of all kinds, or of activations only.
std::vector<std::string> names_of_kinds(bool activations_only) {
  std::vector<std::string> names;
  for (const LayerKind& kind : layer_kinds()) {
    if (!activations_only || kind.activation != Activation::kIdentity) names.push_back(kind.name);
  }
  return names;
}

const LayerKind* find_kind(const std::string& name) {
  const std::vector<LayerKind>& kinds = layer_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(),
                                  [&](const LayerKind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : &*found;
}

std::vector<std::string> words_of(const std::string& text) {
  constexpr const char* kBlank = " \t";
  std::vector<std::string> words;
  for (std::size_t begin = text.find_first_not_of(kBlank); begin != std::string::npos;) {
    const std::size_t end = text.find_first_of(kBlank, begin);
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kBlank, end);
  }
  return words;
}

/// An integer from 1 to `largest`.
std::optional<int> parse_count(const std::string& word, int largest) {
  int value = 0;
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  if (error != std::errc() || stop != end || value < 1 || value > largest) return std::nullopt;
  return value;
}

bool has_integers(const std::vector<ConfigItem>& items) {
  return std::any_of(items.begin(), items.end(), [](const ConfigItem& item) {
    return item.is_integer || has_integers(item.list);
  });
}

class ListParser {
 public:
  ListParser(std::string place, std::string activation)
      : place_(std::move(place)), activation_(std::move(activation)) {}

  /// `block`: the number of the residual block that the items are in, and a dot.
  std::vector<LayerSpec> parse(const std::vector<ConfigItem>& items, const std::string& block) {
    std::vector<LayerSpec> specs;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::string number = fmt::format("{}{}", block, i + 1);
      if (items[i].is_list()) {
        append(specs, parse_block(number, items[i].list));
      } else if (items[i].is_integer) {
        append(specs, parse_text(number, fmt::format("dense {}", items[i].integer)));
        append(specs, parse_text(number, activation_));
      } else {
        append(specs, parse_text(number, items[i].text));
      }
    }
    return specs;
  }

 private:
  /// An activation after a layer whose op applies it becomes part of that layer.
  static void append(std::vector<LayerSpec>& specs, LayerSpec spec) {
    const Activation activation = spec.kind->activation;
    if (activation != Activation::kIdentity && slope_depends_only_on_output(activation) &&
        !specs.empty() && specs.back().kind->takes_activation &&
        specs.back().activation == Activation::kIdentity) {
      specs.back().activation = activation;
    } else {
      specs.push_back(std::move(spec));
    }
  }

  LayerSpec parse_block(const std::string& number, const std::vector<ConfigItem>& items) {
    LayerSpec spec = new_spec(kResidual, number, "[...]");
    if (items.empty()) throw layer_error(place_, spec, "a residual block without layers");
    spec.block = parse(items, number + ".");
    return spec;
  }

  LayerSpec parse_text(const std::string& number, const std::string& text) {
    const std::vector<std::string> words = words_of(text);
    const LayerKind* const kind = words.empty() ? nullptr : find_kind(words[0]);
    LayerSpec spec = new_spec(kind == nullptr ? kResidual : *kind, number, text);
    if (kind == nullptr) reject_unknown(spec, words.empty() ? "" : words[0]);

    std::size_t next = 1;
    const auto take_count = [&](int largest) {
      std::optional<int> value;
      if (next < words.size()) value = parse_count(words[next++], largest);
      if (!value) reject_arguments(spec);
      return *value;
    };
    for (const int largest : kind->largest) spec.arguments.push_back(take_count(largest));
    while (next < words.size()) {
      const std::string& word = words[next++];
      if (word == "stride" && kind->takes_stride && spec.stride == 0) {
        spec.stride = take_count(kLargestWindow);
      } else if (word == "valid" && kind->takes_valid && !spec.valid) {
        spec.valid = true;
      } else {
        reject_arguments(spec);
      }
    }
    return spec;
  }

  LayerSpec new_spec(const LayerKind& kind, const std::string& number, const std::string& text) {
    LayerSpec spec;
    spec.kind = &kind;
    spec.number = number;
    spec.text = text;
    constexpr int kMostLayers = 1000;
    if (++count_ > kMostLayers) {
      throw layer_error(place_, spec, fmt::format("expected at most {} layers", kMostLayers));
    }
    return spec;
  }

  [[noreturn]] void reject_unknown(const LayerSpec& spec, const std::string& name) const {
    const std::string nearest = nearest_name(name, names_of_kinds(false));
    std::vector<std::string> usages;
    for (const LayerKind& kind : layer_kinds()) usages.push_back(kind.usage);
    throw layer_error(
        place_, spec,
        fmt::format("unknown layer; the nearest is \"{}\" of {}; a list of layers inside the list "
                    "is a residual block",
                    find_kind(nearest)->usage, fmt::join(usages, ", ")));
  }

  [[noreturn]] void reject_arguments(const LayerSpec& spec) const {
    const LayerKind& kind = *spec.kind;
    std::string expected = fmt::format("expected \"{}\"", kind.usage);
    if (!kind.largest.empty()) {
      expected += fmt::format(", with integers from 1 to {}", fmt::join(kind.largest, " and "));
    }
    throw layer_error(place_, spec, expected);
  }

  std::string place_;
  std::string activation_;  // after the dense layers given as integers
  int count_ = 0;           // layers so far
};

}  // namespace

std::vector<LayerSpec> read_layers(ConfigReader& options,
                                   const std::vector<ConfigItem>& default_layers) {
  const std::vector<ConfigItem> items = options.items("layers", default_layers);
  std::string activation;
  if (has_integers(items)) {
    activation = options.choice("activation", "sigmoid", names_of_kinds(true));
  }
  return ListParser(options.place("layers"), activation).parse(items, "");
}

LayerSpec last_layer(int units, std::size_t layers_before) {
  LayerSpec spec;
  spec.kind = find_kind("dense");
  spec.number = fmt::format("{}", layers_before + 1);
  spec.text = fmt::format("dense {}", units);
  spec.arguments = {units};
  return spec;
}

}  // namespace l2o
