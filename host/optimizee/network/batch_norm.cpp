// batch_norm: every channel normalized to mean 0 and variance 1 over all pixels of the minibatch,
// then scaled and shifted (Ioffe & Szegedy 2015).
#include "host/optimizee/network/layers.h"
#include "host/optimizee/network/norm.h"

namespace l2o {

std::unique_ptr<Layer> make_batch_norm(const LayerSpec& spec, const ValueShape& input,
                                       NetworkPlan& plan) {
  using BatchNorm = Norm<BatchNormArgs, BatchNormBackwardArgs, &Backend::batch_norm,
                         &Backend::batch_norm_backward>;
  NormShape shape;
  shape.rows = plan.rows() * input.pixels();  // values of a channel
  if (shape.rows < 2) {
    plan.error(spec,
               "each channel has a single value in a minibatch of one row; expected several: use a "
               "larger batch_size");
  }
  shape.name = plan.next_name("batch_norm");
  shape.parameters = {input.channels};
  shape.columns = input.channels;
  shape.statistics = input.channels;
  return std::make_unique<BatchNorm>(spec, input, shape, plan);
}

}  // namespace l2o
