// Rules trained by DeepMind's learning-to-learn (github.com/google-deepmind/learning-to-learn,
// networks.py), a CoordinateWiseDeepLSTM as stored in its files *.l2l, and by its descendant
// Open-L2O (github.com/VITA-Group/Open-L2O), which also has RNNProp's rule (Lv, Jiang & Li 2017).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "host/optimizer/optimizer.h"

namespace l2o {

/// The network's options, which such a file does not contain. Defaults: those of their networks for
/// MNIST and CIFAR-10 (util.py), and of a MetaOptimizer without a configuration (meta.py).
struct L2lOptions {
  /// kIdentity or kLogAndSign; empty: kLogAndSign, or kMoments for RNNProp, which has nothing else.
  std::optional<Preprocessing> preprocessing = std::nullopt;
  float p = 5.0F;  ///< k of their LogAndSign
  float output_scale = 0.01F;
};

/// The rule in the bytes of a file, which error messages call `source_name`. Throws kBadData if
/// they are not such a file, or contain a network that is not a rule of this engine; kUsage for
/// options that no rule has.
///
/// Their LSTM (Sonnet's) has one matrix w_gates [inputs + H, 4H] that multiplies the row (x, h)
/// from the right, gates in the order i, j, f, o, where j is called g here, and adds 1 to the
/// forget gate's z: here that 1 is in the bias. Their LogAndSign uses log(|g| + 2^-23), this
/// engine's log|g|, which differs from it by at most 2^-23 e^p / p where |g| >= e^-p: 4e-6 at p =
/// 5, 3e-4 at p = 10. RNNProp's rule reads moments through a dense layer with ELU,
/// input_projection, and has a tanh at its output.
Optimizer import_l2l(std::span<const std::byte> bytes, const L2lOptions& options,
                     const std::string& source_name);

/// The same for a file. Throws kInputOutput if it cannot be read.
Optimizer import_l2l_file(const std::string& path, const L2lOptions& options);

}  // namespace l2o
