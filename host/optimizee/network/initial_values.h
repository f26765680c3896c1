// The initial values of a network's parameters.
#pragma once

#include "host/optimizee/network/network_parameter.h"
#include "kernels/op_args.h"

namespace l2o {

enum class Init : int {
  kNormal,  ///< N(0, sigma^2), biases too
  kHe,      ///< N(0, 2 / fan_in) (He et al. 2015); biases 0, as in the next two
  kGlorot,  ///< U(+-sqrt(6 / (fan_in + fan_out))) (Glorot & Bengio 2010)
  kLecun,   ///< N(0, 1 / fan_in) (LeCun et al. 1998)
  kTorch,   ///< U(+-1 / sqrt(fan_in)), biases too: the default of torch.nn.Linear and Conv2d
};

/// The distribution of initial values, with a and b as in FillRandomArgs. A constant is `a` with
/// b = 0.
struct InitialDraw {
  Distribution distribution = Distribution::kUniform;
  float a = 0.0F, b = 0.0F;
};

/// Scales of normalization start at 1 and shifts at 0, regardless of the init. sigma: of kNormal
/// only. kTorch uses fan_in for biases as well.
InitialDraw initial_draw(Init init, float sigma, const NetworkParameter& parameter);

}  // namespace l2o
