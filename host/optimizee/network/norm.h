// The common part of batch_norm and layer_norm: all but the values that their statistics are over.
#pragma once

#include <string>
#include <vector>

#include "host/optimizee/network/layer.h"

namespace l2o {

/// The difference between the two normalizations.
struct NormShape {
  std::string name;                      ///< the layer's; its tensors are "<name>.scale", ...
  std::vector<std::int64_t> parameters;  ///< shape of scale and shift
  std::int64_t rows = 0;                 ///< rows of a task, as the op views its input
  int columns = 0;                       ///< likewise
  std::int64_t statistics = 0;           ///< number of means of a task
};

/// kForward, kBackward: the methods of Backend, with their arguments.
template <class Args, class BackwardArgs, void (Backend::*kForward)(const Args&),
          void (Backend::*kBackward)(const BackwardArgs&)>
class Norm final : public Layer {
 public:
  Norm(const LayerSpec& spec, const ValueShape& input, const NormShape& shape, NetworkPlan& plan)
      : Layer(plan, input, input), activation_(spec.activation), shape_(shape) {
    scale_ = plan.add({shape.name + ".scale", shape.parameters, ParameterRole::kScale});
    shift_ = plan.add({shape.name + ".shift", shape.parameters, ParameterRole::kShift});
  }

  void allocate(Backend& backend) override {
    const auto size = static_cast<std::size_t>(tasks() * shape_.statistics);
    mean_ = Buffer<float>(backend, size);
    inverse_deviation_ = Buffer<float>(backend, size);
  }

  void forward(const LayerPass& pass, const float* input, float* output) override {
    auto args = common_args<Args>(pass);
    args.input = input;
    args.shift = pass.parameter(shift_);
    args.shift_stride = pass.stride_of(shift_);
    args.output = output;
    (pass.backend.*kForward)(args);
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    auto args = common_args<BackwardArgs>(pass);
    args.input = values.input;
    args.output = values.output;
    args.output_adjoint = values.output_adjoint;
    args.input_adjoint = values.input_adjoint;
    args.scale_gradient = pass.gradient_of(scale_);
    args.scale_gradient_stride = pass.stride_of(scale_);
    args.shift_gradient = pass.gradient_of(shift_);
    args.shift_gradient_stride = pass.stride_of(shift_);
    (pass.backend.*kBackward)(args);
  }

 private:
  /// The arguments of both directions.
  template <class SomeArgs>
  SomeArgs common_args(const LayerPass& pass) {
    SomeArgs args;
    args.activation = activation_;
    args.batch = tasks();
    args.rows = static_cast<decltype(args.rows)>(shape_.rows);
    args.columns = shape_.columns;
    args.mean = mean_.data();
    args.inverse_deviation = inverse_deviation_.data();
    args.scale = pass.parameter(scale_);
    args.scale_stride = pass.stride_of(scale_);
    return args;
  }

  Activation activation_;
  NormShape shape_;
  int scale_, shift_;
  Buffer<float> mean_, inverse_deviation_;  // [B, statistics]
};

}  // namespace l2o
