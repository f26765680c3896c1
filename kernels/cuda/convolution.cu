// Convolutions as products of matrices, of which the large one, the patches of an image that its
// pixels read, is never made: blocks gather what they multiply from the image. The three ops are
// three products with a left matrix of that kind:
//
//                      rows             columns        terms of a sum    left
//   convolution        output pixels    out channels   places of patch   input
//   backward_input     input pixels     channels       places of patch   output adjoint
//   backward_weights   places of patch  out channels   output pixels     input
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

// ----------------------------------------------------------------------------- places of an image

/// A row of the left matrix and a term of the sum stand for such numbers each; added up, they are
/// the place of the value in its image.
struct Place {
  std::int64_t offset;  // elements
  int y, x;
};
L2O_DEVICE Place operator+(const Place& a, const Place& b) {
  return {a.offset + b.offset, a.y + b.y, a.x + b.x};
}
/// Whatever is added to it, y is negative, which is outside of every image.
L2O_DEVICE Place nowhere() { return {0, -(1 << 30), 0}; }

/// Pixel number `pixel` of the images of one task, [R, height, width].
struct Pixel {
  L2O_DEVICE Pixel(std::int64_t pixel, int height, int width) {
    const std::int64_t pixels = std::int64_t{height} * width;
    image = pixel / pixels;
    const auto place = static_cast<int>(pixel - image * pixels);
    y = place / width;
    x = place % width;
  }
  std::int64_t image;
  int y, x;
};

/// Place number `place` of [kernel, kernel, channels].
struct PatchPlace {
  L2O_DEVICE PatchPlace(std::int64_t place, int kernel, int channels) {
    const int window = static_cast<int>(place) / channels;
    channel = static_cast<int>(place) % channels;
    u = window / kernel;
    v = window % kernel;
  }
  int u, v, channel;
};

/// Of the input, where the patch of an output pixel starts.
L2O_DEVICE Place patch_start(const ConvolutionShape& shape, std::int64_t task, std::int64_t pixel) {
  const Pixel at(pixel, shape.out_height, shape.out_width);
  const int y = at.y * shape.stride - shape.pad_top, x = at.x * shape.stride - shape.pad_left;
  const std::int64_t row = (task * shape.images + at.image) * shape.height + y;
  return {(row * shape.width + x) * shape.channels, y, x};
}
/// Of the input, from there to a place of the patch.
L2O_DEVICE Place patch_offset(const ConvolutionShape& shape, std::int64_t place) {
  const PatchPlace at(place, shape.kernel, shape.channels);
  return {(std::int64_t{at.u} * shape.width + at.v) * shape.channels + at.channel, at.u, at.v};
}
L2O_DEVICE float input_value(const ConvolutionShape& shape, const float* input, const Place& at) {
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
// row(), term() and left() give the left matrix, right() the other one; store() takes a value of
// the result. kLeftByTerms, kRightByTerms: neighbouring terms are neighbours in memory, and not
// neighbouring rows or columns.

struct Forward {
  static constexpr bool kLeftByTerms = true, kRightByTerms = false;
  ConvolutionArgs args;

  L2O_DEVICE Place row(std::int64_t task, std::int64_t pixel) const {
    return patch_start(args.shape, task, pixel);
  }
  L2O_DEVICE Place term(std::int64_t /*task*/, std::int64_t place) const {
    return patch_offset(args.shape, place);
  }
  L2O_DEVICE float left(const Place& at) const { return input_value(args.shape, args.input, at); }
  L2O_DEVICE float right(std::int64_t task, std::int64_t place, int channel) const {
    return args.weights[task * args.weights_stride + place * args.shape.out_channels + channel];
  }
  L2O_DEVICE void store(std::int64_t task, std::int64_t /*chunk*/, std::int64_t pixel, int channel,
                        float sum) const {
    const std::int64_t at = task * output_pixels(args.shape) + pixel;
    args.output[at * args.shape.out_channels + channel] =
        activate(args.activation, sum + args.bias[task * args.bias_stride + channel]);
  }
};

struct BackwardInput {
  static constexpr bool kLeftByTerms = true, kRightByTerms = true;
  ConvolutionBackwardInputArgs args;

  /// y and x: of the input, stride times those of the output.
  L2O_DEVICE Place row(std::int64_t task, std::int64_t pixel) const {
    const ConvolutionShape& shape = args.shape;
    const Pixel at(pixel, shape.height, shape.width);
    return {
        (task * shape.images + at.image) * shape.out_height * shape.out_width * shape.out_channels,
        at.y + shape.pad_top, at.x + shape.pad_left};
  }
  L2O_DEVICE Place term(std::int64_t /*task*/, std::int64_t place) const {
    const PatchPlace at(place, args.shape.kernel, args.shape.out_channels);
    return {at.channel, -at.u, -at.v};
  }
  L2O_DEVICE float left(const Place& at) const {
    const ConvolutionShape& shape = args.shape;
    if (at.y < 0 || at.x < 0 || at.y % shape.stride != 0 || at.x % shape.stride != 0) return 0.0F;
    const int y = at.y / shape.stride, x = at.x / shape.stride;
    if (y >= shape.out_height || x >= shape.out_width) return 0.0F;
    return args
        .output_adjoint[at.offset + (std::int64_t{y} * shape.out_width + x) * shape.out_channels];
  }
  L2O_DEVICE float right(std::int64_t task, std::int64_t place, int channel) const {
    const int outs = args.shape.out_channels;
    const int window = static_cast<int>(place) / outs, out = static_cast<int>(place) % outs;
    return args.weights[task * args.weights_stride +
                        (std::int64_t{window} * args.shape.channels + channel) * outs + out];
  }
  L2O_DEVICE void store(std::int64_t task, std::int64_t /*chunk*/, std::int64_t pixel, int channel,
                        float sum) const {
    const ConvolutionShape& shape = args.shape;
    const std::int64_t at = task * shape.images * shape.height * shape.width + pixel;
    args.input_adjoint[at * shape.channels + channel] = sum;
  }
};

struct BackwardWeights {
  static constexpr bool kLeftByTerms = false, kRightByTerms = false;
  ConvolutionBackwardWeightsArgs args;
  Chunks chunks;    // of the output pixels
  float* partials;  // [B, chunks, kernel, kernel, channels, out_channels], if there are several

  L2O_DEVICE Place row(std::int64_t /*task*/, std::int64_t place) const {
    return patch_offset(args.shape, place);
  }
  L2O_DEVICE Place term(std::int64_t task, std::int64_t pixel) const {
    return patch_start(args.shape, task, pixel);
  }
  L2O_DEVICE float left(const Place& at) const { return input_value(args.shape, args.input, at); }
  L2O_DEVICE float right(std::int64_t task, std::int64_t pixel, int channel) const {
    const std::int64_t at = task * output_pixels(args.shape) + pixel;
    return args.output_adjoint[at * args.shape.out_channels + channel];
  }
  L2O_DEVICE void store(std::int64_t task, std::int64_t chunk, std::int64_t place, int channel,
                        float sum) const {
    const int outs = args.shape.out_channels;
    float* const gradient =
        chunks.count == 1
            ? args.weights_gradient + task * args.weights_gradient_stride
            : partials + (task * chunks.count + chunk) * patch_size(args.shape) * outs;
    gradient[place * outs + channel] = sum;
  }
};

/// The second stage of BackwardWeights: weight number i of a task.
struct SumChunks {
  BackwardWeights product;
  std::int64_t weights;  // of a task

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

// ------------------------------------------------------------------------- one tile of a product

constexpr int kRows = 64;   // of a tile
constexpr int kSlice = 16;  // terms that stand in shared memory at once
constexpr int kEdge = 4;    // rows and columns of a thread

/// What a product is cut into: blocks take a tile of a chunk of the terms of a task.
struct ProductPlan {
  int batch = 0;
  std::int64_t rows = 0, terms = 0;
  int columns = 0;
  Chunks chunks;  // of the terms
};

struct alignas(kEdge * sizeof(float)) Edge {
  float of[kEdge];
};

/// Shared memory of a block: where its rows stand and the slice's terms, and the slices of both
/// matrices, [term][row] and [term][column]; in the end the tile, [row][column]. Padded, so that
/// neither a run of terms nor one of rows meets in a few banks.
template <int kColumns>
struct TileMemory {
  static constexpr int kLeftStride = kRows + kEdge, kRightStride = kColumns + kEdge;
  struct Slices {
    Place rows[kRows];
    Place terms[kSlice];
    float left[kSlice * kLeftStride];
    float right[kSlice * kRightStride];
  };
  union {
    Slices slices;
    float tile[kRows * kColumns];
  };
};

template <int kColumns, class Product>
class ProductTile {
 public:
  static constexpr int kThreads = kRows / kEdge * (kColumns / kEdge);

  L2O_DEVICE ProductTile(const Product& product, const ProductPlan& plan, std::int64_t index)
      : product_(product),
        plan_(plan),
        memory_(*reinterpret_cast<Memory*>(shared_memory())),
        thread_(thread_index()),
        row_(thread_ / (kColumns / kEdge) * kEdge),
        column_(thread_ % (kColumns / kEdge) * kEdge) {
    const std::int64_t row_tiles = (plan.rows - 1) / kRows + 1;
    const std::int64_t column_tiles = (plan.columns - 1) / kColumns + 1;
    first_column_ = static_cast<int>(index % column_tiles) * kColumns;
    index /= column_tiles;
    first_row_ = index % row_tiles * kRows;
    index /= row_tiles;
    chunk_ = index % plan.chunks.count;
    task_ = index / plan.chunks.count;
  }

  L2O_DEVICE void run() {
    const std::int64_t end = std::min((chunk_ + 1) * plan_.chunks.size, plan_.terms);
    const std::int64_t first = chunk_ * plan_.chunks.size;
    place_rows();
    place_terms(first, end);
    for (std::int64_t slice = first; slice < end; slice += kSlice) {
      synchronize_block();
      load_left();
      load_right(slice, end);
      synchronize_block();
      multiply();
      place_terms(slice + kSlice, end);
    }
    synchronize_block();
    store();
    synchronize_block();  // before the memory is another tile's
  }

 private:
  using Memory = TileMemory<kColumns>;
  static constexpr int kLeftStride = Memory::kLeftStride, kRightStride = Memory::kRightStride;
  static_assert(kThreads >= kRows && kThreads % kRows == 0 && kThreads % kColumns == 0);

  L2O_DEVICE void place_rows() {
    if (thread_ >= kRows) return;
    const std::int64_t row = first_row_ + thread_;
    memory_.slices.rows[thread_] = row < plan_.rows ? product_.row(task_, row) : nowhere();
  }
  L2O_DEVICE void place_terms(std::int64_t slice, std::int64_t end) {
    if (thread_ >= kSlice) return;
    const std::int64_t term = slice + thread_;
    memory_.slices.terms[thread_] = term < end ? product_.term(task_, term) : nowhere();
  }

  /// Calls load(term, i) for the thread's share of a slice [kSlice][size].
  template <int size, bool kByTerms, class Load>
  L2O_DEVICE void for_share(const Load& load) const {
    if constexpr (kByTerms) {
#pragma unroll
      for (int k = 0; k < size * kSlice / kThreads; ++k) {
        load(thread_ % kSlice, thread_ / kSlice + k * (kThreads / kSlice));
      }
    } else {
#pragma unroll
      for (int k = 0; k < size * kSlice / kThreads; ++k) {
        load(thread_ / size + k * (kThreads / size), thread_ % size);
      }
    }
  }
  L2O_DEVICE void load_left() {
    for_share<kRows, Product::kLeftByTerms>([&](int term, int row) {
      memory_.slices.left[term * kLeftStride + row] =
          product_.left(memory_.slices.rows[row] + memory_.slices.terms[term]);
    });
  }
  L2O_DEVICE void load_right(std::int64_t slice, std::int64_t end) {
    for_share<kColumns, Product::kRightByTerms>([&](int term, int column) {
      const bool exists = slice + term < end && first_column_ + column < plan_.columns;
      memory_.slices.right[term * kRightStride + column] =
          exists ? product_.right(task_, slice + term, first_column_ + column) : 0.0F;
    });
  }

  L2O_DEVICE void multiply() {
#pragma unroll
    for (int term = 0; term < kSlice; ++term) {
      const auto left = load_vector<Edge>(memory_.slices.left + term * kLeftStride + row_);
      const auto right = load_vector<Edge>(memory_.slices.right + term * kRightStride + column_);
#pragma unroll
      for (int i = 0; i < kEdge; ++i) {
#pragma unroll
        for (int j = 0; j < kEdge; ++j) {
          sums_[i].of[j] = fused(left.of[i], right.of[j], sums_[i].of[j]);
        }
      }
    }
  }

  /// Through shared memory, so that neighbouring threads write neighbouring values.
  L2O_DEVICE void store() {
#pragma unroll
    for (int i = 0; i < kEdge; ++i) {
      store_vector(memory_.tile + (row_ + i) * kColumns + column_, sums_[i]);
    }
    synchronize_block();
#pragma unroll 1
    for (int i = thread_; i < kRows * kColumns; i += kThreads) {
      const std::int64_t row = first_row_ + i / kColumns;
      const int column = first_column_ + i % kColumns;
      if (row < plan_.rows && column < plan_.columns) {
        product_.store(task_, chunk_, row, column, memory_.tile[i]);
      }
    }
  }

  const Product& product_;
  const ProductPlan& plan_;
  Memory& memory_;
  const int thread_;
  const int row_, column_;  // of the tile, the thread's first
  std::int64_t task_, chunk_, first_row_;
  int first_column_;
  Edge sums_[kEdge] = {};
};

template <int kColumns, class Product>
__global__ void __launch_bounds__(ProductTile<kColumns, Product>::kThreads)
    convolution_kernel(Product product, ProductPlan plan, std::int64_t tiles) {
  for (std::int64_t index = block_index(); index < tiles; index += block_count()) {
    ProductTile<kColumns, Product>(product, plan, index).run();
  }
}

template <int kColumns, class Product>
void multiply_by_tiles(const char* name, const Product& product, const ProductPlan& plan,
                       const Device& device) {
  constexpr int kThreads = ProductTile<kColumns, Product>::kThreads;
  const std::int64_t tiles = plan.batch * plan.chunks.count * blocks_for(plan.rows, kRows) *
                             blocks_for(plan.columns, kColumns);
  launch(name, convolution_kernel<kColumns, Product>, device,
         {blocks_for(tiles, 1, device.resident_blocks(kThreads)), kThreads,
          sizeof(TileMemory<kColumns>)},
         product, plan, tiles);
}

/// Rows and columns may not be 0; no terms are a sum of 0.
template <class Product>
void multiply(const char* name, const Product& product, const ProductPlan& plan,
              const Device& device) {
  if (plan.columns <= 16) {
    multiply_by_tiles<16>(name, product, plan, device);
  } else if (plan.columns <= 32) {
    multiply_by_tiles<32>(name, product, plan, device);
  } else {
    multiply_by_tiles<64>(name, product, plan, device);
  }
}

}  // namespace

void convolution(const ConvolutionArgs& args, const Device& device) {
  const ConvolutionShape& shape = args.shape;
  const ProductPlan plan = {.batch = shape.batch,
                            .rows = output_pixels(shape),
                            .terms = patch_size(shape),
                            .columns = shape.out_channels,
                            .chunks = {1, patch_size(shape)}};
  if (plan.batch == 0 || plan.rows == 0 || plan.columns == 0) return;
  multiply("convolution", Forward{args}, plan, device);
}

void convolution_backward_input(const ConvolutionBackwardInputArgs& args, const Device& device) {
  const ConvolutionShape& shape = args.shape;
  const std::int64_t terms = std::int64_t{shape.kernel} * shape.kernel * shape.out_channels;
  const ProductPlan plan = {.batch = shape.batch,
                            .rows = std::int64_t{shape.images} * shape.height * shape.width,
                            .terms = terms,
                            .columns = shape.channels,
                            .chunks = {1, terms}};
  if (plan.batch == 0 || plan.rows == 0 || plan.columns == 0) return;
  multiply("convolution_backward_input", BackwardInput{args}, plan, device);
}

void convolution_backward_weights(const ConvolutionBackwardWeightsArgs& args,
                                  const Device& device) {
  constexpr std::int64_t kLeastPixels = 1024;  // of a chunk
  constexpr std::int64_t kFloatsOfDouble = 2;
  const ConvolutionShape& shape = args.shape;
  const std::int64_t pixels = output_pixels(shape);
  const std::int64_t weights = patch_size(shape) * shape.out_channels;
  if (shape.batch == 0 || weights == 0) return;
  const std::int64_t doubles = (shape.batch * weights - 1) / kFloatsOfDouble + 1;
  const ProductPlan plan = {
      .batch = shape.batch,
      .rows = patch_size(shape),
      .terms = pixels,
      .columns = shape.out_channels,
      .chunks = pixels == 0 ? Chunks{1, 0} : chunks_of(pixels, kLeastPixels, doubles)};
  const BackwardWeights product = {args, plan.chunks, reinterpret_cast<float*>(device.workspace)};
  multiply("convolution_backward_weights", product, plan, device);
  if (plan.chunks.count == 1) return;
  for_each("convolution_backward_weights", shape.batch * weights, SumChunks{product, weights},
           device);
}

}  // namespace l2o::cuda
