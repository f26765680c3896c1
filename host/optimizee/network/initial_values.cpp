#include "host/optimizee/network/initial_values.h"

#include <cmath>

namespace l2o {
namespace {

InitialDraw constant(float value) { return {Distribution::kUniform, value, 0.0F}; }

InitialDraw normal(double sigma) {
  return {Distribution::kNormal, 0.0F, static_cast<float>(sigma)};
}

/// U(-limit, limit).
InitialDraw uniform(double limit) {
  const auto bound = static_cast<float>(limit);
  return {Distribution::kUniform, -bound, 2.0F * bound};
}

}  // namespace

InitialDraw initial_draw(Init init, float sigma, const NetworkParameter& parameter) {
  if (parameter.role == ParameterRole::kScale) return constant(1.0F);
  if (parameter.role == ParameterRole::kShift) return constant(0.0F);
  const auto fan_in = static_cast<double>(parameter.fan_in);
  const auto fan_out = static_cast<double>(parameter.fan_out);
  if (init == Init::kNormal) return normal(double{sigma});
  if (init == Init::kTorch) return uniform(1.0 / std::sqrt(fan_in));
  if (parameter.role == ParameterRole::kBias) return constant(0.0F);
  if (init == Init::kGlorot) return uniform(std::sqrt(6.0 / (fan_in + fan_out)));
  return normal(std::sqrt((init == Init::kHe ? 2.0 : 1.0) / fan_in));
}

}  // namespace l2o
