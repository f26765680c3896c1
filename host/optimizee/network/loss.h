// The loss of a network: the last op of its forward pass.
#pragma once

#include <string>

#include "host/optimizee/network/minibatches.h"

namespace l2o {

enum class Loss : int {
  kCrossEntropy,      ///< mean of -log softmax at the label
  kMeanSquaredError,  ///< mean of (output - target)^2 over rows and the target's values
  kAutoencoder,       ///< the same with the network's input as the target
};

/// The number of outputs that a network must have. Throws kUsage, beginning with `place`, if the
/// data set lacks the labels or targets that the loss reads.
int outputs_for(Loss loss, const DataSet& data, const std::string& place);

/// loss [B], and d loss / d output in place of the network's output [B, R, outputs].
void evaluate_loss(Loss kind, Backend& backend, int tasks, int rows, const Minibatches& minibatches,
                   float* output, float* loss);

}  // namespace l2o
