// Optimizers in host memory: a cell and its meta-parameters, for all parameters or for a group of
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/core/parameter_group.h"
#include "kernels/cells/cell.h"

namespace l2o {

/// The initial w_out. kZero: the untrained rule does nothing, which makes it possible to train on
/// networks that saturate easily. kTruncatedNormal: DM's, sigma = 1/sqrt(H).
enum class OutputInit : int { kZero, kTruncatedNormal };

/// phi is flat, in this order (weights row-major, gates i, f, g, o):
///   if there is an input projection: its weight [D, inputs], bias [D];
///   per layer: weight_ih [4H, in], weight_hh [4H, H], bias [4H];
///   linear.weight [outputs, H], or [outputs, in] without layers; linear.bias [outputs].
struct Optimizer {
  CellConfig cell;
  std::vector<float> meta_parameters;  ///< phi [P]; empty for the hand-designed rules
  std::string trained_on;              ///< the resolved training configuration (TOML), or empty
};

/// The update rule of a group of parameters.
struct GroupRule {
  ParameterGroup group;
  Optimizer optimizer;  ///< its trained_on is the model's
};

/// The content of a model file: a rule for each group, or one for all parameters.
struct Model {
  std::vector<GroupRule> rules;

  std::vector<ParameterGroup> groups() const;
  std::vector<CellConfig> cells() const;
  /// The rule, if there is one for all parameters. Throws kUsage, listing the rules, if there are
  /// several.
  const Optimizer& only_rule() const;
  /// The rule of that name. Throws kUsage, listing the rules, if there is none.
  const Optimizer& rule(const std::string& name) const;
};

/// The model of one rule for all parameters.
Model make_model(Optimizer optimizer);

/// An untrained rule, initialized as in docs/math.md section 2. Throws kUsage for a shape or
/// constant out of range. `stream` distinguishes the rules of one model, which start differently.
Optimizer make_lstm_optimizer(const LstmConfig& lstm, OutputInit output_init, std::uint64_t seed,
                              std::uint32_t stream = 0);

/// A hand-designed rule with its other hyper-parameters at their defaults. Throws kUsage for an
/// unknown name, listing the known ones.
Optimizer make_hand_designed_optimizer(const std::string& name, float learning_rate);

}  // namespace l2o
