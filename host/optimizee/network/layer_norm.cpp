// layer_norm: all values of a row normalized together to mean 0 and variance 1, then each scaled
// and shifted individually (Ba, Kiros, Hinton 2016).
#include "host/optimizee/network/layers.h"
#include "host/optimizee/network/norm.h"

namespace l2o {

std::unique_ptr<Layer> make_layer_norm(const LayerSpec& spec, const ValueShape& input,
                                       NetworkPlan& plan) {
  using LayerNorm = Norm<LayerNormArgs, LayerNormBackwardArgs, &Backend::layer_norm,
                         &Backend::layer_norm_backward>;
  NormShape shape;
  shape.columns = static_cast<int>(input.size());
  if (shape.columns < 2) plan.error(spec, "an input of one value; expected several");
  shape.name = plan.next_name("layer_norm");
  shape.parameters = {input.channels};
  if (input.pixels() > 1) shape.parameters = {input.height, input.width, input.channels};
  shape.rows = plan.rows();
  shape.statistics = plan.rows();
  return std::make_unique<LayerNorm>(spec, input, shape, plan);
}

}  // namespace l2o
