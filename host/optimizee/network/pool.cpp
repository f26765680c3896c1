// max_pool K [stride S], avg_pool K [stride S]: the maximum or the mean of every window of K x K
// pixels inside the image, S apart (K by default). global_avg_pool: the mean of the image.
#include <fmt/format.h>

#include <algorithm>

#include "host/backend/checked_size.h"
#include "host/optimizee/network/layers.h"

namespace l2o {
namespace {

PoolShape shape_of(Pooling pooling, const ValueShape& input, int kernel_height, int kernel_width,
                   int stride, const NetworkPlan& plan) {
  PoolShape shape;
  shape.pooling = pooling;
  shape.images = std::int64_t{plan.tasks()} * plan.rows();
  shape.height = input.height;
  shape.width = input.width;
  shape.channels = input.channels;
  shape.kernel_height = kernel_height;
  shape.kernel_width = kernel_width;
  shape.stride = stride;
  shape.out_height = (input.height - kernel_height) / stride + 1;
  shape.out_width = (input.width - kernel_width) / stride + 1;
  return shape;
}

class Pool final : public Layer {
 public:
  Pool(const ValueShape& input, const PoolShape& shape, const NetworkPlan& plan)
      : Layer(plan, input, {shape.out_height, shape.out_width, shape.channels}), shape_(shape) {}

  void allocate(Backend& backend) override {
    if (shape_.pooling == Pooling::kMax) {
      argmax_ = Buffer<std::uint16_t>(backend, static_cast<std::size_t>(output_size()));
    }
  }

  void forward(const LayerPass& pass, const float* input, float* output) override {
    pass.backend.pool(
        {.shape = shape_, .input = input, .output = output, .argmax = argmax_.data()});
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    if (values.input_adjoint == nullptr) return;
    pass.backend.pool_backward({.shape = shape_,
                                .output_adjoint = values.output_adjoint,
                                .argmax = argmax_.data(),
                                .input_adjoint = values.input_adjoint});
  }

 private:
  PoolShape shape_;
  Buffer<std::uint16_t> argmax_;  // kMax: like the output
};

std::unique_ptr<Layer> make_pool(Pooling pooling, const LayerSpec& spec, const ValueShape& input,
                                 NetworkPlan& plan) {
  const int kernel = spec.arguments[0];
  plan.check_window(spec, kernel, input);
  const int stride = spec.stride == 0 ? kernel : spec.stride;
  return std::make_unique<Pool>(input, shape_of(pooling, input, kernel, kernel, stride, plan),
                                plan);
}

}  // namespace

std::unique_ptr<Layer> make_max_pool(const LayerSpec& spec, const ValueShape& input,
                                     NetworkPlan& plan) {
  return make_pool(Pooling::kMax, spec, input, plan);
}

std::unique_ptr<Layer> make_avg_pool(const LayerSpec& spec, const ValueShape& input,
                                     NetworkPlan& plan) {
  return make_pool(Pooling::kMean, spec, input, plan);
}

std::unique_ptr<Layer> make_global_avg_pool(const LayerSpec& spec, const ValueShape& input,
                                            NetworkPlan& plan) {
  if (std::max(input.height, input.width) > kLargestWindow) {
    plan.error(spec, fmt::format("an input of {}; expected at most {} x {} pixels", to_text(input),
                                 kLargestWindow, kLargestWindow));
  }
  return std::make_unique<Pool>(
      input, shape_of(Pooling::kMean, input, input.height, input.width, 1, plan), plan);
}

}  // namespace l2o
