#include "host/optimizer/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <utility>

#include "host/core/error.h"
#include "host/optimizer/lstm_settings.h"
#include "kernels/cells/cell_list.h"
#include "kernels/math/normal.h"
#include "kernels/math/philox.h"

namespace l2o {
namespace {

/// Normal draws truncated at two sigma: a draw outside is replaced by the next one of the stream.
class TruncatedNormal {
 public:
  TruncatedNormal(std::uint64_t seed, std::uint32_t stream)
      : key_{.seed = seed, .purpose = RandomPurpose::kMetaParameters, .task = stream, .step = 0} {}

  float draw(double sigma) {
    float value;
    do {
      value = normal_from_bits(random_bits(key_, next_++));
    } while (std::abs(value) > 2.0F);
    return static_cast<float>(sigma * double{value});
  }

 private:
  RandomKey key_;
  std::uint64_t next_ = 0;
};

/// Throws kUsage for a setting out of range.
class RangeCheck {
 public:
  void integer(const char* key, int value, int min, int max) { number(key, value, min, max); }
  void width(const char* key, int value, int max) { number(key, value, 0, max); }
  template <class Number>
  void number(const char* key, Number value, Number min, Number max) {
    if (min <= value && value <= max) return;  // not of NaN
    throw Error(Status::kUsage, fmt::format("{} is {}; expected {} to {}", key, value, min, max));
  }
  void scale(const char* key, float value) {
    if (std::isfinite(value)) return;
    throw Error(Status::kUsage, fmt::format("{} is {}; expected a finite number", key, value));
  }
  template <class Enum>
  void choice(const char*, Enum, SettingNames) {}
};

void check_settings(const LstmConfig& lstm) {
  visit_lstm_settings(lstm, RangeCheck());
  const std::string contradiction = lstm_contradiction(lstm);
  if (!contradiction.empty()) throw Error(Status::kUsage, contradiction);
}

}  // namespace

namespace {

std::string rule_names(const Model& model) {
  std::vector<std::string> names;
  for (const GroupRule& rule : model.rules) names.push_back(rule.group.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::vector<ParameterGroup> Model::groups() const {
  std::vector<ParameterGroup> groups;
  for (const GroupRule& rule : rules) groups.push_back(rule.group);
  return groups;
}

std::vector<CellConfig> Model::cells() const {
  std::vector<CellConfig> cells;
  for (const GroupRule& rule : rules) cells.push_back(rule.optimizer.cell);
  return cells;
}

const Optimizer& Model::only_rule() const {
  if (rules.size() == 1) return rules.front().optimizer;
  throw Error(Status::kUsage,
              fmt::format("the model has {} rules ({}); expected the name of one of them",
                          rules.size(), rule_names(*this)));
}

const Optimizer& Model::rule(const std::string& name) const {
  for (const GroupRule& rule : rules) {
    if (!name.empty() && rule.group.name == name) return rule.optimizer;
  }
  throw Error(
      Status::kUsage,
      rules.front().group.name.empty()
          ? fmt::format("the model has only one rule, which has no name, not \"{}\"", name)
          : fmt::format("the model has no rule \"{}\"; its rules are {}", name, rule_names(*this)));
}

Model make_model(Optimizer optimizer) {
  return {.rules = {{.group = {}, .optimizer = std::move(optimizer)}}};
}

Optimizer make_lstm_optimizer(const LstmConfig& lstm, OutputInit output_init, std::uint64_t seed,
                              std::uint32_t stream) {
  check_settings(lstm);
  Optimizer optimizer;
  optimizer.cell.kind = kLstmKind;
  optimizer.cell.lstm = lstm;
  std::vector<float>& phi = optimizer.meta_parameters;
  phi.resize(
      static_cast<std::size_t>(LstmCell::meta_size(optimizer.cell)));  // zeros, as biases stay

  TruncatedNormal normal(seed, stream);
  for (int i = 0; i < lstm.input_projection * lstm.inputs(); ++i) {
    phi[i] = normal.draw(1.0 / std::sqrt(double(lstm.inputs())));
  }
  for (int layer = 0; layer < lstm.layers; ++layer) {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const double sigma = 1.0 / std::sqrt(double(at.inputs + lstm.hidden));
    for (int i = at.weight_ih; i < at.end; ++i) phi[i] = normal.draw(sigma);
    // Forget gates that start open let gradients flow back through many steps.
    for (int unit = 0; unit < lstm.hidden; ++unit) phi[at.bias + lstm.hidden + unit] += 1.0F;
  }
  if (output_init == OutputInit::kTruncatedNormal) {
    const int w_out = lstm_output_offset(lstm), width = lstm_output_inputs(lstm);
    const double sigma = 1.0 / std::sqrt(double(width));
    for (int i = w_out; i < w_out + lstm.outputs() * width; ++i) phi[i] = normal.draw(sigma);
  }
  return optimizer;
}

Optimizer make_hand_designed_optimizer(const std::string& name, float learning_rate) {
  const int kind = find_cell(name);
  if (kind < 0 || kind == kLstmKind) {
    std::string known;
    for (int k = 0; k < kCellCount; ++k) {
      if (k == kLstmKind) continue;
      known += known.empty() ? "" : ", ";
      known += cell_name(k);
    }
    throw Error(Status::kUsage,
                fmt::format("\"{}\" is not a hand-designed rule; expected one of {}", name, known));
  }
  Optimizer optimizer;
  optimizer.cell.kind = kind;
  visit_cell(kind, [&](auto cell) {
    const auto& hyper = decltype(cell)::kHyper;
    for (std::size_t k = 0; k < hyper.size(); ++k) {
      optimizer.cell.hyper[k] = hyper[k].default_value;
    }
  });
  optimizer.cell.hyper[0] = learning_rate;
  return optimizer;
}

}  // namespace l2o
