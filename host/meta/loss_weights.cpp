#include "host/meta/loss_weights.h"

#include <cmath>
#include <cstddef>

namespace l2o {

double meta_value(double loss, bool logarithmic) {
  constexpr double kFloor = double{kLogFloor};
  if (!logarithmic) return loss;
  return loss < kFloor ? std::log(kFloor) + (loss - kFloor) / kFloor : std::log(loss);
}

std::vector<double> LossWeights::of_unroll(int length) const {
  std::vector<double> weights(static_cast<std::size_t>(length) + 1);
  switch (kind) {
    case Kind::kAll:
      weights.assign(weights.size(), 1.0);
      break;
    case Kind::kFinal:
      weights.back() = 1.0;
      break;
    case Kind::kLinear:
      for (std::size_t t = 0; t < weights.size(); ++t) {
        weights[t] = static_cast<double>(t) / length;
      }
      break;
    case Kind::kList:
      weights.assign(list.end() - (length + 1), list.end());
      break;
  }
  return weights;
}

}  // namespace l2o
