// The settings of the learned rule: the single list that configurations, model files, `l2o info`
// and messages use. To add a setting, add a member to LstmConfig and a line here.
#pragma once

#include <span>
#include <string>

#include "host/core/config.h"
#include "kernels/cells/cell.h"

namespace l2o {

/// Names of the values of an enum, indexed by it.
using SettingNames = std::span<const char* const>;

/// Calls, in this order, for an LstmConfig or const LstmConfig:
///   visitor.integer(key, int&, min, max)      visitor.number(key, float&, min, max)
///   visitor.choice(key, enum&, names)         visitor.scale(key, float&)  of any size and sign
///   visitor.width(key, int&, max)             of a layer that need not exist: 0, or 1..max
template <class Lstm, class Visitor>
void visit_lstm_settings(Lstm& lstm, Visitor&& visitor) {
  visitor.integer("layers", lstm.layers, 0, LstmConfig::kMaxLayers);
  visitor.integer("hidden", lstm.hidden, 1, LstmConfig::kMaxHidden);
  visitor.choice("preprocessing", lstm.preprocessing, kPreprocessingNames);
  visitor.number("p", lstm.p, LstmConfig::kMinP, LstmConfig::kMaxP);
  visitor.width("input_projection", lstm.input_projection, LstmConfig::kMaxHidden);
  visitor.choice("output", lstm.output, kOutputNames);
  visitor.scale("output_scale", lstm.output_scale);
}

/// Reads every setting as a key of `table`, with the defaults in docs/config.md. Throws kUsage.
LstmConfig read_lstm_settings(ConfigReader& table);

/// One line of text: "layers = 1, hidden = 20, ...", without layers that do not exist.
std::string describe_lstm(const LstmConfig& lstm);

/// Describes a contradiction between settings that are individually valid: an output that needs a
/// direction which the preprocessing does not provide. Empty if there is none.
std::string lstm_contradiction(const LstmConfig& lstm);

}  // namespace l2o
