// The weights w[t] of the meta-loss sum_{t=0..T} w[t] f_t(theta[t]) of one unroll.
#pragma once

#include <vector>

namespace l2o {

/// Below this loss, the logarithm continues as a straight line with its slope at this point.
inline constexpr float kLogFloor = 1e-6F;

/// The value of a loss in the meta-loss: f, or log f.
double meta_value(double loss, bool logarithmic);

struct LossWeights {
  enum class Kind : int {
    kAll,     ///< w[t] = 1
    kFinal,   ///< w[T] = 1, all others 0
    kLinear,  ///< w[t] = t / T
    kList,    ///< `list`, one weight for each of the unroll_length + 1 evaluations
  };

  Kind kind = Kind::kAll;
  std::vector<double> list;  ///< used by kList only

  /// Returns w[0..length] for an unroll of `length` steps. T above is that length; with a list, a
  /// shorter last unroll uses the last length + 1 weights, so that the end of an unroll keeps its
  /// weight.
  std::vector<double> of_unroll(int length) const;
};

}  // namespace l2o
