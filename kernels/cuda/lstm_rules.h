// The preprocessing and output of the LSTMs that have tensor-core kernels: types, so that a kernel
// contains only the code of one rule.
#pragma once

#include "kernels/cells/cell.h"

namespace l2o::cuda {

/// The paper's rule.
struct LogAndSignRule {
  static constexpr Preprocessing kPreprocessing = Preprocessing::kLogAndSign;
  static constexpr Output kOutput = Output::kLinear;
};

/// Adam's direction, modulated.
struct ModulatedAdamRule {
  static constexpr Preprocessing kPreprocessing = Preprocessing::kAdamMoments;
  static constexpr Output kOutput = Output::kModulated;
};

}  // namespace l2o::cuda
