// Elementwise ops; each is memory-bound.
#include <cstdint>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

struct Activate {
  ActivationArgs args;
  L2O_DEVICE void operator()(std::int64_t i) const {
    args.output[i] = activate(args.activation, args.input[i]);
  }
};

struct ActivateBackward {
  ActivationBackwardArgs args;
  L2O_DEVICE void operator()(std::int64_t i) const {
    const float slope = slope_depends_only_on_output(args.activation)
                            ? activation_slope(args.activation, args.output[i])
                            : gelu_slope_at(args.input[i]);
    args.input_adjoint[i] = args.output_adjoint[i] * slope;
  }
};

struct Add {
  AddArgs args;
  L2O_DEVICE void operator()(std::int64_t i) const { args.values[i] += args.addend[i]; }
};

struct Multiply {
  MultiplyArgs args;
  L2O_DEVICE void operator()(std::int64_t i) const {
    args.out[i] = args.divide ? args.values[i] / args.factors[i] : args.values[i] * args.factors[i];
  }
};

}  // namespace

void activation(const ActivationArgs& args, const Device& device) {
  for_each("activation", args.n, Activate{args}, device);
}

void activation_backward(const ActivationBackwardArgs& args, const Device& device) {
  for_each("activation_backward", args.n, ActivateBackward{args}, device);
}

void add(const AddArgs& args, const Device& device) { for_each("add", args.n, Add{args}, device); }

void multiply(const MultiplyArgs& args, const Device& device) {
  for_each("multiply", args.n, Multiply{args}, device);
}

}  // namespace l2o::cuda
