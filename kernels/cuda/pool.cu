// Pooling: a thread computes one value, adjacent threads adjacent channels. In the backward pass, a
// value sums the contributions of the windows that contain it, in their order.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

/// One channel of one pixel.
struct PixelChannel {
  std::int64_t image;
  int y, x, channel;
};

L2O_DEVICE PixelChannel pixel_channel(std::int64_t i, int height, int width, int channels) {
  const std::int64_t image = i / (std::int64_t{height} * width * channels);
  const auto index = static_cast<int>(i - image * (std::int64_t{height} * width * channels));
  const int pixel = index / channels;
  return {image, pixel / width, pixel % width, index % channels};
}

L2O_DEVICE float mean_scale(const PoolShape& shape) {
  return 1.0F / static_cast<float>(shape.kernel_height * shape.kernel_width);
}

struct Pool {
  PoolArgs args;

  L2O_DEVICE void operator()(std::int64_t i) const {
    const PoolShape& shape = args.shape;
    const PixelChannel at = pixel_channel(i, shape.out_height, shape.out_width, shape.channels);
    const std::int64_t row_stride = std::int64_t{shape.width} * shape.channels;
    const float* window = args.input +
                          (at.image * shape.height + at.y * shape.stride) * row_stride +
                          std::int64_t{at.x} * shape.stride * shape.channels + at.channel;
    if (shape.pooling == Pooling::kMean) {
      float sum = 0.0F;
      for (int u = 0; u < shape.kernel_height; ++u) {
        for (int v = 0; v < shape.kernel_width; ++v) {
          sum += window[u * row_stride + v * shape.channels];
        }
      }
      args.output[i] = sum * mean_scale(shape);
      return;
    }
    float largest = -std::numeric_limits<float>::infinity();
    int argmax = 0;
    for (int u = 0; u < shape.kernel_height; ++u) {
      for (int v = 0; v < shape.kernel_width; ++v) {
        const float value = window[u * row_stride + v * shape.channels];
        if (value > largest || std::isnan(value)) {
          largest = value;
          argmax = u * shape.kernel_width + v;
        }
      }
    }
    args.output[i] = largest;
    args.argmax[i] = static_cast<std::uint16_t>(argmax);
  }
};

struct PoolBackward {
  PoolBackwardArgs args;

  L2O_DEVICE void operator()(std::int64_t i) const {
    const PoolShape& shape = args.shape;
    const PixelChannel at = pixel_channel(i, shape.height, shape.width, shape.channels);
    // Window w covers [w stride, w stride + kernel).
    const int first_row = first_window(at.y, shape.kernel_height);
    const int first_column = first_window(at.x, shape.kernel_width);
    const int end_row = std::min(at.y / shape.stride + 1, shape.out_height);
    const int end_column = std::min(at.x / shape.stride + 1, shape.out_width);
    float sum = 0.0F;
    for (int row = first_row; row < end_row; ++row) {
      for (int column = first_column; column < end_column; ++column) {
        const std::int64_t from =
            ((at.image * shape.out_height + row) * shape.out_width + column) * shape.channels +
            at.channel;
        if (shape.pooling == Pooling::kMean) {
          sum += mean_scale(shape) * args.output_adjoint[from];
        } else {
          const int index =
              (at.y - row * shape.stride) * shape.kernel_width + (at.x - column * shape.stride);
          if (args.argmax[from] == index) sum += args.output_adjoint[from];
        }
      }
    }
    args.input_adjoint[i] = sum;
  }

  /// The first window that ends after `at`.
  L2O_DEVICE int first_window(int at, int kernel) const {
    return at < kernel ? 0 : (at - kernel) / args.shape.stride + 1;
  }
};

}  // namespace

void pool(const PoolArgs& args, const Device& device) {
  const PoolShape& shape = args.shape;
  for_each("pool", shape.images * shape.out_height * shape.out_width * shape.channels, Pool{args},
           device);
}

void pool_backward(const PoolBackwardArgs& args, const Device& device) {
  const PoolShape& shape = args.shape;
  for_each("pool_backward", shape.images * shape.height * shape.width * shape.channels,
           PoolBackward{args}, device);
}

}  // namespace l2o::cuda
