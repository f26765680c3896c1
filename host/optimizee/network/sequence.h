// Layers one after the other, with the memory of the values between them.
#pragma once

#include <memory>
#include <vector>

#include "host/optimizee/network/layer.h"

namespace l2o {

class Sequence {
 public:
  /// At least one layer. Checks shapes and plans parameters, as a layer does.
  Sequence(const std::vector<LayerSpec>& specs, const ValueShape& input, NetworkPlan& plan);

  const ValueShape& output_shape() const { return layers_.back()->output_shape(); }
  /// As Layer::allocate().
  void allocate(Backend& backend);

  /// Of the last forward().
  float* output() { return values_.back().data(); }
  void forward(const LayerPass& pass, const float* input);
  /// output_adjoint is overwritten; output() may be its memory where the last layer is a dense one
  /// without an activation. input_adjoint as in LayerAdjoints.
  void backward(const LayerPass& pass, const float* input, float* output_adjoint,
                float* input_adjoint);

 private:
  std::int64_t batch_;  // rows of all tasks
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<Buffer<float>> values_;  // of each layer's output
  /// d loss / d output of the layers but the last, in turn: that of layer i in number i % 2.
  Buffer<float> adjoints_[2];
};

}  // namespace l2o
