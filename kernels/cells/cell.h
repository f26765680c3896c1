// The contract of a cell: an update rule that runs on one coordinate at a time.
//
//   theta[t+1] = theta[t] + update,   (update, state') = forward(config, meta, gradient, state)
//
// A cell is a stateless struct C. It is written once, for a scalar type T (float in production,
// double in the tests), and every backend runs it through its generic driver:
//
//   C::kName                                  its name in configs and reports
//   C::kHyper                                 std::array<HyperParameter, k>: names and defaults of
//                                             config.hyper[0..k); "learning_rate" comes first
//                                             in hand-designed rules
//   C::state_size(config) -> int              values of type T of state per coordinate; all zero
//                                             at the start of an episode
//   C::meta_size(config) -> int               meta-parameters (phi), shared by all coordinates;
//                                             0 for the hand-designed rules
//   C::forward(config, meta, gradient, state) -> update
//                                             state [state_size] is updated in place
//
// and, if meta_size > 0,
//
//   C::backward(config, meta, gradient, state, update_adjoint, state_adjoint, sink)
//     state          [state_size]  the state BEFORE the step
//     update_adjoint               d meta-loss / d update
//     state_adjoint  [state_size]  in: d meta-loss / d state after the step; out: before the step
//     sink(i, value)               adds value to d meta-loss / d meta[i]
//   The gradient is a constant (solid edges): nothing flows through it.
#pragma once

#include "kernels/host_device.h"

namespace l2o {

/// Input of the LSTM, computed from the raw gradient g; formulas in kernels/math/preprocessing.h.
enum class Preprocessing : int {
  kIdentity,     ///< g                                                     (1 input)
  kLogAndSign,   ///< (log|g|/p, sign g) if |g| >= e^-p, else (-1, e^p g)   (2 inputs)
  kMoments,      ///< running moments and g over their root                 (2 inputs, 3 of state)
  kAdamMoments,  ///< fast and slow moments; gives Adam's direction         (4 inputs, 5 of state)
};

/// Functions that turn the LSTM's outputs o = w_out h + b_out into the update.
enum class Output : int {
  kLinear,     ///< update = output_scale o
  kTanh,       ///< update = output_scale tanh(o)
  kModulated,  ///< update = -output_scale (exp(clip(o_0, -6, 3)) d + tanh(o_1)), d Adam's
               ///< direction: requires kAdamMoments
};

// Names in configurations, model files and reports, indexed by the enums.
inline constexpr const char* kPreprocessingNames[] = {"identity", "log_and_sign", "moments",
                                                      "adam_moments"};
inline constexpr const char* kOutputNames[] = {"linear", "tanh", "modulated"};

constexpr const char* preprocessing_name(Preprocessing preprocessing) {
  return kPreprocessingNames[static_cast<int>(preprocessing)];
}
constexpr const char* output_name(Output output) { return kOutputNames[static_cast<int>(output)]; }

/// Shape and constants of the stacked coordinatewise LSTM.
struct LstmConfig {
  static constexpr int kMaxLayers = 3;
  static constexpr int kMaxHidden = 64;
  static constexpr int kMaxInputs = 4, kMaxOutputs = 2;
  static constexpr int kMaxPreprocessingState = 5;
  static constexpr float kMinP = 0.01F, kMaxP = 80.0F;  // e^p and e^-p are normal float32 numbers

  int layers = 2;   ///< 0..kMaxLayers; 0: the outputs are computed from the first layer's inputs
  int hidden = 20;  ///< 1..kMaxHidden
  Preprocessing preprocessing = Preprocessing::kLogAndSign;
  float p = 10.0F;           ///< constant of log_and_sign, kMinP..kMaxP
  int input_projection = 0;  ///< width of a dense layer with ELU between the preprocessing and the
                             ///< first layer, 1..kMaxHidden; 0: none
  Output output = Output::kLinear;
  float output_scale = 0.1F;

  /// Number of values that the preprocessing computes.
  L2O_HOST_DEVICE constexpr int inputs() const {
    return preprocessing == Preprocessing::kIdentity      ? 1
           : preprocessing == Preprocessing::kAdamMoments ? 4
                                                          : 2;
  }
  /// Number of values that the first layer reads.
  L2O_HOST_DEVICE constexpr int first_layer_inputs() const {
    return input_projection > 0 ? input_projection : inputs();
  }
  L2O_HOST_DEVICE constexpr int outputs() const { return output == Output::kModulated ? 2 : 1; }
  /// Values of state that the preprocessing keeps per coordinate, stored after the LSTM's.
  L2O_HOST_DEVICE constexpr int preprocessing_state() const {
    return preprocessing == Preprocessing::kMoments       ? 3
           : preprocessing == Preprocessing::kAdamMoments ? 5
                                                          : 0;
  }
  bool operator==(const LstmConfig&) const = default;
};

/// Everything a cell needs besides its meta-parameters; plain data, passed to kernels by value.
struct CellConfig {
  static constexpr int kMaxHyper = 4;

  int kind = 0;                 ///< index into CellList (cell_list.h); 0 is the LSTM
  LstmConfig lstm;              ///< used by the LSTM only
  float hyper[kMaxHyper] = {};  ///< used by the hand-designed rules, in the order of C::kHyper

  bool operator==(const CellConfig&) const = default;
};

struct HyperParameter {
  const char* name;
  float default_value;
};

}  // namespace l2o
