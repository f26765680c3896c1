// Pooling: the maximum or the mean of windows of an image.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/launchers.h"

namespace l2o::cpu {
namespace {

std::int64_t input_size(const PoolShape& shape) {
  return std::int64_t{shape.height} * shape.width * shape.channels;
}
std::int64_t output_size(const PoolShape& shape) {
  return std::int64_t{shape.out_height} * shape.out_width * shape.channels;
}

/// Calls visit(output pixel, input pixel, index in the window) for every value of every window of
/// an image, window by window.
template <class Visit>
void visit_windows(const PoolShape& shape, const Visit& visit) {
  for (int i = 0; i < shape.out_height; ++i) {
    for (int j = 0; j < shape.out_width; ++j) {
      for (int u = 0; u < shape.kernel_height; ++u) {
        for (int v = 0; v < shape.kernel_width; ++v) {
          const int y = i * shape.stride + u, x = j * shape.stride + v;
          visit(i * shape.out_width + j, std::int64_t{y} * shape.width + x,
                u * shape.kernel_width + v);
        }
      }
    }
  }
}

}  // namespace

void pool(const PoolArgs& args, ThreadPool& threads) {
  const PoolShape& shape = args.shape;
  const int channels = shape.channels;
  const float scale = 1.0F / static_cast<float>(shape.kernel_height * shape.kernel_width);
  threads.parallel_for(shape.images, [&](std::int64_t image, int) {
    const float* in = args.input + image * input_size(shape);
    float* out = args.output + image * output_size(shape);
    if (shape.pooling == Pooling::kMax) {
      std::uint16_t* argmax = args.argmax + image * output_size(shape);
      std::fill_n(out, output_size(shape), -std::numeric_limits<float>::infinity());
      std::fill_n(argmax, output_size(shape), std::uint16_t{0});
      visit_windows(shape, [&](int pixel, std::int64_t from, int place) {
        const float* values = in + from * channels;
        float* largest = out + std::int64_t{pixel} * channels;
        std::uint16_t* own = argmax + std::int64_t{pixel} * channels;
        for (int c = 0; c < channels; ++c) {
          const bool replaces = values[c] > largest[c] || std::isnan(values[c]);
          largest[c] = replaces ? values[c] : largest[c];
          own[c] = replaces ? static_cast<std::uint16_t>(place) : own[c];
        }
      });
    } else {
      std::fill_n(out, output_size(shape), 0.0F);
      visit_windows(shape, [&](int pixel, std::int64_t from, int) {
        const float* values = in + from * channels;
        float* sum = out + std::int64_t{pixel} * channels;
        for (int c = 0; c < channels; ++c) sum[c] += values[c];
      });
      for (std::int64_t k = 0; k < output_size(shape); ++k) out[k] *= scale;
    }
  });
}

void pool_backward(const PoolBackwardArgs& args, ThreadPool& threads) {
  const PoolShape& shape = args.shape;
  const int channels = shape.channels;
  const float scale = 1.0F / static_cast<float>(shape.kernel_height * shape.kernel_width);
  // An image is one item: windows may overlap and are added in order.
  threads.parallel_for(shape.images, [&](std::int64_t image, int) {
    const float* adjoint = args.output_adjoint + image * output_size(shape);
    float* out = args.input_adjoint + image * input_size(shape);
    std::fill_n(out, input_size(shape), 0.0F);
    const bool is_max = shape.pooling == Pooling::kMax;
    const std::uint16_t* argmax = is_max ? args.argmax + image * output_size(shape) : nullptr;
    visit_windows(shape, [&](int pixel, std::int64_t to, int place) {
      const float* __restrict from = adjoint + std::int64_t{pixel} * channels;
      float* __restrict sum = out + to * channels;
      if (is_max) {
        const std::uint16_t* __restrict own = argmax + std::int64_t{pixel} * channels;
        const auto wanted = static_cast<std::uint16_t>(place);
        for (int c = 0; c < channels; ++c) {
          // A mask rather than a branch, which would be unpredictable.
          const std::uint32_t mask = 0U - std::uint32_t{own[c] == wanted};
          sum[c] += std::bit_cast<float>(std::bit_cast<std::uint32_t>(from[c]) & mask);
        }
      } else {
        for (int c = 0; c < channels; ++c) sum[c] += scale * from[c];
      }
    });
  });
}

}  // namespace l2o::cpu
