// The three convolution ops as matrix products. The large matrix, the image patches read by the
// pixels, is never materialized: blocks gather the factors directly from the image.
//
//                      rows             columns        terms of a sum    left
//   convolution        output pixels    out channels   patch positions   input
//   backward_input     input pixels     channels       patch positions   output adjoint
//   backward_weights   patch positions  out channels   output pixels     input
#pragma once

#include <cstdint>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/device.cuh"
#include "kernels/optimizee_args.h"

namespace l2o::cuda::patches {

// --------------------------------------------------------------------------- positions in an image

/// The contribution of a row of the left matrix or of a term of the sum; their sum is the position
/// of the value in its image.
struct Position {
  std::int64_t offset;  // elements
  int y, x;
};
L2O_DEVICE Position operator+(const Position& a, const Position& b) {
  return {a.offset + b.offset, a.y + b.y, a.x + b.x};
}
/// Its sum with any position has a negative y, which is outside every image.
L2O_DEVICE Position nowhere() { return {0, -(1 << 30), 0}; }

/// Pixel number `pixel` of the images of one task, [R, height, width].
struct Pixel {
  L2O_DEVICE Pixel(std::int64_t pixel, int height, int width) {
    const std::int64_t pixels = std::int64_t{height} * width;
    image = pixel / pixels;
    const auto index = static_cast<int>(pixel - image * pixels);
    y = index / width;
    x = index % width;
  }
  std::int64_t image;
  int y, x;
};

/// Position number `index` in [kernel, kernel, channels].
struct PatchPosition {
  L2O_DEVICE PatchPosition(std::int64_t index, int kernel, int channels) {
    const int window = static_cast<int>(index) / channels;
    channel = static_cast<int>(index) % channels;
    u = window / kernel;
    v = window % kernel;
  }
  int u, v, channel;
};

/// The position in the input where the patch of an output pixel starts.
L2O_DEVICE Position patch_start(const ConvolutionShape& shape, std::int64_t task,
                                std::int64_t pixel) {
  const Pixel at(pixel, shape.out_height, shape.out_width);
  const int y = at.y * shape.stride - shape.pad_top, x = at.x * shape.stride - shape.pad_left;
  const std::int64_t row = (task * shape.images + at.image) * shape.height + y;
  return {(row * shape.width + x) * shape.channels, y, x};
}
/// The offset in the input from there to a position in the patch.
L2O_DEVICE Position patch_offset(const ConvolutionShape& shape, std::int64_t index) {
  const PatchPosition at(index, shape.kernel, shape.channels);
  return {(std::int64_t{at.u} * shape.width + at.v) * shape.channels + at.channel, at.u, at.v};
}
L2O_DEVICE float input_value(const ConvolutionShape& shape, const float* input,
                             const Position& at) {
  const bool is_inside = 0 <= at.y && at.y < shape.height && 0 <= at.x && at.x < shape.width;
  return is_inside ? input[at.offset] : 0.0F;
}

constexpr std::int64_t output_pixels(const ConvolutionShape& shape) {
  return std::int64_t{shape.images} * shape.out_height * shape.out_width;
}
constexpr std::int64_t patch_size(const ConvolutionShape& shape) {
  return std::int64_t{shape.kernel} * shape.kernel * shape.channels;
}

// ------------------------------------------------------------------------------------- products
// row(), term() and left() define the left matrix, right() the other one; store() takes a value of
// the result. kLeftTermsContiguous, kRightTermsContiguous: adjacent terms, rather than adjacent
// rows or columns, are adjacent in memory.

struct Forward {
  static constexpr bool kLeftTermsContiguous = true, kRightTermsContiguous = false;
  ConvolutionArgs args;

  L2O_DEVICE Position row(std::int64_t task, std::int64_t pixel) const {
    return patch_start(args.shape, task, pixel);
  }
  L2O_DEVICE Position term(std::int64_t /*task*/, std::int64_t index) const {
    return patch_offset(args.shape, index);
  }
  L2O_DEVICE float left(const Position& at) const {
    return input_value(args.shape, args.input, at);
  }
  L2O_DEVICE float right(std::int64_t task, std::int64_t index, int channel) const {
    return args.weights[task * args.weights_stride + index * args.shape.out_channels + channel];
  }
  L2O_DEVICE void store(std::int64_t task, std::int64_t /*chunk*/, std::int64_t pixel, int channel,
                        float sum) const {
    const std::int64_t at = task * output_pixels(args.shape) + pixel;
    args.output[at * args.shape.out_channels + channel] =
        activate(args.activation, sum + args.bias[task * args.bias_stride + channel]);
  }
};

struct BackwardInput {
  static constexpr bool kLeftTermsContiguous = true, kRightTermsContiguous = true;
  ConvolutionBackwardInputArgs args;

  /// y and x refer to the input: stride times those of the output.
  L2O_DEVICE Position row(std::int64_t task, std::int64_t pixel) const {
    const ConvolutionShape& shape = args.shape;
    const Pixel at(pixel, shape.height, shape.width);
    return {
        (task * shape.images + at.image) * shape.out_height * shape.out_width * shape.out_channels,
        at.y + shape.pad_top, at.x + shape.pad_left};
  }
  L2O_DEVICE Position term(std::int64_t /*task*/, std::int64_t index) const {
    const PatchPosition at(index, args.shape.kernel, args.shape.out_channels);
    return {at.channel, -at.u, -at.v};
  }
  L2O_DEVICE float left(const Position& at) const {
    const ConvolutionShape& shape = args.shape;
    if (at.y < 0 || at.x < 0 || at.y % shape.stride != 0 || at.x % shape.stride != 0) return 0.0F;
    const int y = at.y / shape.stride, x = at.x / shape.stride;
    if (y >= shape.out_height || x >= shape.out_width) return 0.0F;
    return args
        .output_adjoint[at.offset + (std::int64_t{y} * shape.out_width + x) * shape.out_channels];
  }
  L2O_DEVICE float right(std::int64_t task, std::int64_t index, int channel) const {
    const int out_channels = args.shape.out_channels;
    const int window = static_cast<int>(index) / out_channels,
              out = static_cast<int>(index) % out_channels;
    return args
        .weights[task * args.weights_stride +
                 (std::int64_t{window} * args.shape.channels + channel) * out_channels + out];
  }
  L2O_DEVICE void store(std::int64_t task, std::int64_t /*chunk*/, std::int64_t pixel, int channel,
                        float sum) const {
    const ConvolutionShape& shape = args.shape;
    const std::int64_t at = task * shape.images * shape.height * shape.width + pixel;
    args.input_adjoint[at * shape.channels + channel] = sum;
  }
};

struct BackwardWeights {
  static constexpr bool kLeftTermsContiguous = false, kRightTermsContiguous = false;
  ConvolutionBackwardWeightsArgs args;
  Chunks chunks;    // of the output pixels
  float* partials;  // [B, chunks, kernel, kernel, channels, out_channels], if more than one

  L2O_DEVICE Position row(std::int64_t /*task*/, std::int64_t index) const {
    return patch_offset(args.shape, index);
  }
  L2O_DEVICE Position term(std::int64_t task, std::int64_t pixel) const {
    return patch_start(args.shape, task, pixel);
  }
  L2O_DEVICE float left(const Position& at) const {
    return input_value(args.shape, args.input, at);
  }
  L2O_DEVICE float right(std::int64_t task, std::int64_t pixel, int channel) const {
    const std::int64_t at = task * output_pixels(args.shape) + pixel;
    return args.output_adjoint[at * args.shape.out_channels + channel];
  }
  L2O_DEVICE void store(std::int64_t task, std::int64_t chunk, std::int64_t index, int channel,
                        float sum) const {
    const int out_channels = args.shape.out_channels;
    float* const gradient =
        chunks.count == 1
            ? args.weights_gradient + task * args.weights_gradient_stride
            : partials + (task * chunks.count + chunk) * patch_size(args.shape) * out_channels;
    gradient[index * out_channels + channel] = sum;
  }
};

/// The second stage of BackwardWeights: weight number i of a task.
struct SumChunks {
  BackwardWeights product;
  std::int64_t weights;  // per task

  L2O_DEVICE void operator()(std::int64_t index) const {
    const std::int64_t task = index / weights, i = index % weights;
    const std::int64_t chunks = product.chunks.count;
    double sum = 0.0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      sum += double{product.partials[(task * chunks + chunk) * weights + i]};
    }
    product.args.weights_gradient[task * product.args.weights_gradient_stride + i] =
        static_cast<float>(sum);
  }
};

}  // namespace l2o::cuda::patches
