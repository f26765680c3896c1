// An optimizer in host memory: a cell and its meta-parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cells/cell.h"

namespace l2o {

/// How w_out starts. kZero: the untrained rule does nothing, which is what lets networks that
/// saturate easily be learned on. kTruncatedNormal: DM's, sigma = 1/sqrt(H).
enum class OutputInit : int { kZero, kTruncatedNormal };

/// phi is flat, in this order (weights row-major, gates i, f, g, o):
///   per layer: weight_ih [4H, in], weight_hh [4H, H], bias [4H]; then linear.weight [H],
///   linear.bias [1]
/// and linear.weight [in], linear.bias [1] alone where there are no layers.
struct Optimizer {
  CellConfig cell;
  std::vector<float> meta_parameters;  ///< phi [P]; empty for the hand-designed rules
  std::string trained_on;              ///< the resolved training configuration (TOML), or empty
};

/// A fresh learned rule, initialised after docs/math.md section 2. Throws kUsage for a shape or
/// constant out of range.
Optimizer make_lstm_optimizer(const LstmConfig& lstm, OutputInit output_init, std::uint64_t seed);

/// A hand-designed rule with its other hyper-parameters at their defaults. Throws kUsage for an
/// unknown name, listing the known ones.
Optimizer make_hand_designed_optimizer(const std::string& name, float learning_rate);

}  // namespace l2o
