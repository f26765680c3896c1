// Convolutions as matrix products. The input values that an output pixel reads, its patch, are
// kernel rows of neighboring pixels, each contiguous in memory. A tile of patches is gathered into
// the worker's memory, where it stays in the second-level cache, and multiplied there.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/cpu/launchers.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/visit_activation.h"

namespace l2o::cpu {
namespace {

/// Sizes of one task's images, and the tiles in which they are processed.
struct Plan {
  explicit Plan(const ConvolutionShape& shape)
      : pixels(shape.out_height * shape.out_width),
        patch(shape.kernel * shape.kernel * shape.channels),
        input(std::int64_t{shape.height} * shape.width * shape.channels),
        output(std::int64_t{pixels} * shape.out_channels),
        weights(std::int64_t{patch} * shape.out_channels),
        tile(std::clamp(kTileFloats / std::max(patch, 1), 1, pixels)) {}

  static constexpr int kTileFloats = 1 << 15;  // 128 KB of patches

  int pixels;            // pixels of an output image
  int patch;             // input values that an output pixel reads
  std::int64_t input;    // values per image
  std::int64_t output;   // values per image
  std::int64_t weights;  // values per task
  int tile;              // pixels whose patches are gathered at once

  std::size_t tile_bytes() const { return sizeof(float) * std::size_t(tile) * std::size_t(patch); }
};

bool is_empty(const ConvolutionShape& shape) {
  return shape.batch == 0 || shape.images == 0 || shape.out_height == 0 || shape.out_width == 0 ||
         shape.out_channels == 0;
}

/// Calls visit(u, v, input pixel, pixels): kernel row u of output pixel `pixel` covers `pixels`
/// pixels of the image starting at `input pixel`; the first one is at position `v` of the row.
template <class Visit>
void visit_patch(const ConvolutionShape& shape, int pixel, const Visit& visit) {
  const int top = pixel / shape.out_width * shape.stride - shape.pad_top;
  const int left = pixel % shape.out_width * shape.stride - shape.pad_left;
  const int v = std::max(-left, 0);
  const int end = std::min(shape.kernel, shape.width - left);
  for (int u = 0; u < shape.kernel; ++u) {
    const int y = top + u;
    const bool is_inside = 0 <= y && y < shape.height && v < end;
    visit(u, v, y * shape.width + left + v, is_inside ? end - v : 0);
  }
}

/// patches [count, patch] of the output pixels starting at `first`.
void gather_patches(const ConvolutionShape& shape, const float* image, int first, int count,
                    float* patches) {
  const int row = shape.kernel * shape.channels;
  for (int i = 0; i < count; ++i) {
    visit_patch(shape, first + i, [&](int u, int v, int pixel, int pixels) {
      float* out = patches + (i * shape.kernel + u) * row;
      const int begin = v * shape.channels, size = pixels * shape.channels;
      if (size < row) std::memset(out, 0, sizeof(float) * static_cast<std::size_t>(row));
      if (size == 0) return;
      std::memcpy(out + begin, image + std::int64_t{pixel} * shape.channels,
                  sizeof(float) * static_cast<std::size_t>(size));
    });
  }
}

/// Adds patches to the image from which they were gathered.
void scatter_patches(const ConvolutionShape& shape, const float* patches, int first, int count,
                     float* image) {
  const int row = shape.kernel * shape.channels;
  for (int i = 0; i < count; ++i) {
    visit_patch(shape, first + i, [&](int u, int v, int pixel, int pixels) {
      const float* in = patches + (i * shape.kernel + u) * row + v * shape.channels;
      float* out = image + std::int64_t{pixel} * shape.channels;
      for (int k = 0; k < pixels * shape.channels; ++k) out[k] += in[k];
    });
  }
}

/// C [m, n] = op(A) op(B), or C += op(A) op(B); dense.
void multiply_dense(bool transpose_a, bool transpose_b, int m, int n, int k, const float* a,
                    const float* b, bool accumulate, float* c) {
  Product product = dense_product(transpose_a, transpose_b, m, n, k);
  product.a = a;
  product.b = b;
  product.accumulate = accumulate;
  product.c = c;
  multiply(product);
}

}  // namespace

void convolution(const ConvolutionArgs& args, ThreadPool& pool) {
  const ConvolutionShape& shape = args.shape;
  if (is_empty(shape)) return;
  const Plan plan(shape);
  const int tiles = (plan.pixels - 1) / plan.tile + 1;
  auto* const memory = pool.workspace(plan.tile_bytes() * static_cast<std::size_t>(pool.threads()));
  visit_activation(args.activation, [&](auto value, auto) {
    pool.parallel_for(
        std::int64_t{shape.batch} * shape.images * tiles, [&](std::int64_t item, int worker) {
          const std::int64_t image = item / tiles, task = image / shape.images;
          const int first = static_cast<int>(item % tiles) * plan.tile;
          const int count = std::min(plan.tile, plan.pixels - first);
          auto* const patches = reinterpret_cast<float*>(memory + plan.tile_bytes() * worker);
          gather_patches(shape, args.input + image * plan.input, first, count, patches);
          float* out = args.output + image * plan.output + std::int64_t{first} * shape.out_channels;
          multiply_dense(false, false, count, shape.out_channels, plan.patch, patches,
                         args.weights + task * args.weights_stride, false, out);
          const float* bias = args.bias + task * args.bias_stride;
          for (int pixel = 0; pixel < count; ++pixel, out += shape.out_channels) {
            for (int c = 0; c < shape.out_channels; ++c) out[c] = value(out[c] + bias[c]);
          }
        });
  });
}

void convolution_backward_input(const ConvolutionBackwardInputArgs& args, ThreadPool& pool) {
  const ConvolutionShape& shape = args.shape;
  if (shape.batch == 0 || shape.images == 0) return;
  const Plan plan(shape);
  auto* const memory = pool.workspace(plan.tile_bytes() * static_cast<std::size_t>(pool.threads()));
  // An image is one item: its patches overlap and are added in order.
  pool.parallel_for(std::int64_t{shape.batch} * shape.images, [&](std::int64_t image, int worker) {
    auto* const patches = reinterpret_cast<float*>(memory + plan.tile_bytes() * worker);
    const float* weights = args.weights + image / shape.images * args.weights_stride;
    float* const out = args.input_adjoint + image * plan.input;
    std::fill_n(out, plan.input, 0.0F);
    for (int first = 0; first < plan.pixels; first += plan.tile) {
      const int count = std::min(plan.tile, plan.pixels - first);
      multiply_dense(
          false, true, count, plan.patch, shape.out_channels,
          args.output_adjoint + image * plan.output + std::int64_t{first} * shape.out_channels,
          weights, false, patches);
      scatter_patches(shape, patches, first, count, out);
    }
  });
}

void convolution_backward_weights(const ConvolutionBackwardWeightsArgs& args, ThreadPool& pool) {
  const ConvolutionShape& shape = args.shape;
  if (shape.batch == 0 || shape.channels == 0 || shape.out_channels == 0) return;
  const Plan plan(shape);
  // Chunks of images, determined by sizes alone: enough for many threads, in a bounded workspace.
  constexpr std::int64_t kMaxChunks = 32, kWorkspaceFloats = 1 << 22;
  const std::int64_t max_chunks =
      std::clamp<std::int64_t>(kWorkspaceFloats / (plan.weights * shape.batch), 1, kMaxChunks);
  const std::int64_t images_per_chunk = (shape.images + max_chunks - 1) / max_chunks;
  const std::int64_t chunks = shape.images == 0 ? 0 : (shape.images - 1) / images_per_chunk + 1;
  const std::size_t tiles_bytes = plan.tile_bytes() * static_cast<std::size_t>(pool.threads());
  auto* const memory = pool.workspace(
      tiles_bytes + sizeof(float) * static_cast<std::size_t>(shape.batch * chunks * plan.weights));
  auto* const sums = reinterpret_cast<float*>(memory + tiles_bytes);  // [B, chunks, weights]
  pool.parallel_for(shape.batch * chunks, [&](std::int64_t item, int worker) {
    const std::int64_t task = item / chunks, first_image = item % chunks * images_per_chunk;
    const std::int64_t end = std::min<std::int64_t>(first_image + images_per_chunk, shape.images);
    auto* const patches = reinterpret_cast<float*>(memory + plan.tile_bytes() * worker);
    bool accumulate = false;
    for (std::int64_t image = task * shape.images + first_image; image < task * shape.images + end;
         ++image) {
      for (int first = 0; first < plan.pixels; first += plan.tile) {
        const int count = std::min(plan.tile, plan.pixels - first);
        gather_patches(shape, args.input + image * plan.input, first, count, patches);
        multiply_dense(
            true, false, plan.patch, shape.out_channels, count, patches,
            args.output_adjoint + image * plan.output + std::int64_t{first} * shape.out_channels,
            accumulate, sums + item * plan.weights);
        accumulate = true;
      }
    }
  });
  for (std::int64_t task = 0; task < shape.batch; ++task) {
    float* const out = args.weights_gradient + task * args.weights_gradient_stride;
    const float* const own = sums + task * chunks * plan.weights;
    for (std::int64_t i = 0; i < plan.weights; ++i) {
      double sum = 0.0;
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += own[chunk * plan.weights + i];
      out[i] = static_cast<float>(sum);
    }
  }
}

}  // namespace l2o::cpu
