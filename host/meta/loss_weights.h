// The weights w[t] of the meta-loss sum_{t=0..T} w[t] f_t(theta[t]) of one unroll.
#pragma once

#include <vector>

namespace l2o {

/// Below it the logarithm of a loss continues as a straight line, with the slope that it has there.
inline constexpr float kLogFloor = 1e-6F;

/// What the meta-loss makes of a loss: f, or log f.
double meta_value(double loss, bool logarithmic);

struct LossWeights {
  enum class Kind : int {
    kAll,     ///< w[t] = 1
    kFinal,   ///< w[T] = 1, all others 0
    kLinear,  ///< w[t] = t / T
    kList,    ///< `list`, one number for each of the unroll_length + 1 evaluations
  };

  Kind kind = Kind::kAll;
  std::vector<double> list;  ///< read by kList only

  /// w[0..length] of an unroll of `length` steps. T above is that length; of a list, a shorter last
  /// unroll takes the last length + 1 numbers, so that the end of an unroll keeps its weight.
  std::vector<double> of_unroll(int length) const;
};

}  // namespace l2o
