// The parameter tensors of a network.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace l2o {

/// What a tensor is used for, which determines its initial values.
enum class ParameterRole : int { kWeight, kBias, kScale, kShift };

/// A tensor of parameters of a layer.
struct NetworkParameter {
  std::string name;  ///< "conv0.weight"
  std::vector<std::int64_t> shape;
  ParameterRole role = ParameterRole::kWeight;
  // Of the layer, for weights and biases; not used for scales and shifts.
  std::int64_t fan_in = 1;   ///< number of values that an output is computed from
  std::int64_t fan_out = 1;  ///< number of outputs that an input value contributes to
};

}  // namespace l2o
