// A sequence of layers, with the memory for the values between them.
#pragma once

#include <memory>
#include <vector>

#include "host/optimizee/network/layer.h"

namespace l2o {

class Sequence {
 public:
  /// At least one layer. Checks shapes and plans parameters, like a layer.
  Sequence(const std::vector<LayerSpec>& specs, const ValueShape& input, NetworkPlan& plan);

  const ValueShape& output_shape() const { return layers_.back()->output_shape(); }
  /// Like Layer::allocate().
  void allocate(Backend& backend);

  /// Output of the last forward().
  float* output() { return values_.back().data(); }
  void forward(const LayerPass& pass, const float* input);
  /// output_adjoint is overwritten; it may alias output() if the last layer is a dense layer
  /// without an activation. input_adjoint as in LayerAdjoints.
  void backward(const LayerPass& pass, const float* input, float* output_adjoint,
                float* input_adjoint);

 private:
  std::int64_t batch_;  // rows of all tasks
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<Buffer<float>> values_;  // the output of each layer
  /// d loss / d output of all layers but the last, alternating: that of layer i is in i % 2.
  Buffer<float> adjoints_[2];
};

}  // namespace l2o
