// dz times the layer's inputs, summed over coordinates: for every layer a product of two thin
// matrices, A [4H] rows times B [inputs from below, own h, 1] rows. The output is treated as
// another layer: A has one row per output, and B is h of the top layer.
//
// A block of threads processes a chunk of coordinates of one layer, 32 coordinates at a time
// through shared memory; a thread sums kThreadTile x kThreadTile products. Both stages of the sum,
// over the coordinates of a chunk and then over steps, have a fixed order, regardless of the
// numbers of threads, segments and multiprocessors.
#include "kernels/cuda/lstm_weight_gradient.h"

#include <algorithm>

#include "kernels/cuda/launch.cuh"

namespace l2o::cuda {
namespace {

constexpr int kThreadTile = 8;
constexpr int kMaxThreads = 192;
// Length of a row in shared memory; the 4 extra numbers let adjacent rows start in different banks.
constexpr int kRowStride = kTile + 4;

/// One layer's product, and the location of its result in phi.
struct LayerProduct {
  const float* adjoints;  ///< [adjoint_rows] rows
  const float* below;     ///< [below_rows] rows
  const float* own;       ///< [own_rows] rows
  int adjoint_rows, below_rows, own_rows;
  int weight_below;  ///< offset of [adjoint_rows, below_rows]
  int weight_own;    ///< offset of [adjoint_rows, own_rows]
  int bias;          ///< offset of [adjoint_rows]

  L2O_HOST_DEVICE int input_rows() const { return below_rows + own_rows + 1; }
  L2O_HOST_DEVICE int row_tiles() const { return (adjoint_rows + kThreadTile - 1) / kThreadTile; }
  L2O_HOST_DEVICE int column_tiles() const {
    return (input_rows() + kThreadTile - 1) / kThreadTile;
  }
  L2O_HOST_DEVICE int tiles() const { return row_tiles() * column_tiles(); }
  L2O_HOST_DEVICE int phi_index(int row, int column) const {
    if (column < below_rows) return weight_below + row * below_rows + column;
    column -= below_rows;
    return column < own_rows ? weight_own + row * own_rows + column : bias + row;
  }
};

struct Parameters {
  LayerProduct products[LstmConfig::kMaxLayers + 1];
  int product_count;
  int groups;  // blocks that share the tiles of a product
  int meta_size;
  std::int64_t n, columns, chunk_coordinates;
  float* partials;
};

/// Loads kTile coordinates of `count` rows into shared memory, [count][kRowStride]; coordinates
/// from n on are 0.
L2O_DEVICE void load_rows(const float* rows, int count, std::int64_t columns, std::int64_t first,
                          std::int64_t n, float* shared) {
  constexpr int kVectorsPerRow = kTile / 4;
  constexpr int kLoadsInFlight = 4;
  const int step = block_threads() / kVectorsPerRow, column = thread_index() % kVectorsPerRow * 4;
  const std::int64_t at = first + column;
  for (int begin = thread_index() / kVectorsPerRow; begin < count; begin += kLoadsInFlight * step) {
    float4 values[kLoadsInFlight];
#pragma unroll
    for (int k = 0; k < kLoadsInFlight; ++k) {
      const int row = begin + k * step;
      if (row < count) values[k] = load_vector<float4>(rows + row * columns + at);
    }
#pragma unroll
    for (int k = 0; k < kLoadsInFlight; ++k) {
      const int row = begin + k * step;
      if (at >= n) values[k].x = 0.0F;
      if (at + 1 >= n) values[k].y = 0.0F;
      if (at + 2 >= n) values[k].z = 0.0F;
      if (at + 3 >= n) values[k].w = 0.0F;
      if (row < count) store_vector(shared + row * kRowStride + column, values[k]);
    }
  }
}

__global__ void __launch_bounds__(kMaxThreads, 2) weight_gradient_kernel(Parameters p) {
  const int group = block_index() % p.groups;
  const LayerProduct& product = p.products[block_index() / p.groups % p.product_count];
  const std::int64_t chunk = block_index() / p.groups / p.product_count;
  if (group * block_threads() >= product.tiles()) return;

  // Shared memory: A, then B, whose last row is the ones; both padded to whole tiles with undefined
  // rows, whose sums are discarded.
  const int row_tiles = product.row_tiles(), column_tiles = product.column_tiles();
  auto* a = reinterpret_cast<float*>(shared_memory());
  float* b = a + row_tiles * kThreadTile * kRowStride;
  float* own = b + product.below_rows * kRowStride;
  if (thread_index() < kTile) own[product.own_rows * kRowStride + thread_index()] = 1.0F;

  // The thread's rows of A are those whose number modulo row_tiles is row_tile; likewise for B.
  const int tile = group * block_threads() + thread_index();
  const bool idle = tile >= product.tiles();
  const int row_tile = idle ? 0 : tile / column_tiles;
  const int column_tile = idle ? 0 : tile % column_tiles;
  const float* thread_a = a + row_tile * kRowStride;
  const float* thread_b = b + column_tile * kRowStride;

  float sums[kThreadTile][kThreadTile] = {};
  const std::int64_t chunk_begin = chunk * p.chunk_coordinates;
  const std::int64_t chunk_end = chunk_begin + p.chunk_coordinates;
  const std::int64_t end = chunk_end < p.n ? chunk_end : p.n;
  for (std::int64_t first = chunk_begin; first < end; first += kTile) {
    load_rows(product.adjoints, product.adjoint_rows, p.columns, first, p.n, a);
    load_rows(product.below, product.below_rows, p.columns, first, p.n, b);
    load_rows(product.own, product.own_rows, p.columns, first, p.n, own);
    synchronize_block();
#pragma unroll 1
    for (int k = 0; k < kTile; k += 4) {
      float4 inputs[kThreadTile];
#pragma unroll
      for (int column = 0; column < kThreadTile; ++column) {
        inputs[column] = load_vector<float4>(thread_b + column * column_tiles * kRowStride + k);
      }
#pragma unroll
      for (int row = 0; row < kThreadTile; ++row) {
        const auto dz = load_vector<float4>(thread_a + row * row_tiles * kRowStride + k);
#pragma unroll
        for (int column = 0; column < kThreadTile; ++column) {
          float& sum = sums[row][column];
          sum = fused(dz.x, inputs[column].x, sum);
          sum = fused(dz.y, inputs[column].y, sum);
          sum = fused(dz.z, inputs[column].z, sum);
          sum = fused(dz.w, inputs[column].w, sum);
        }
      }
    }
    synchronize_block();
  }

  if (idle) return;
  float* partial = p.partials + chunk * p.meta_size;
#pragma unroll
  for (int k = 0; k < kThreadTile; ++k) {
    const int row = k * row_tiles + row_tile;
    if (row >= product.adjoint_rows) break;
#pragma unroll
    for (int j = 0; j < kThreadTile; ++j) {
      const int column = j * column_tiles + column_tile;
      if (column < product.input_rows()) partial[product.phi_index(row, column)] += sums[k][j];
    }
  }
}

}  // namespace

WeightGradientChunks::WeightGradientChunks(std::int64_t block_coordinates, int meta_size) {
  constexpr std::int64_t kMaxChunks = 256, kMaxPartialBytes = std::int64_t{32} << 20;
  const std::int64_t bytes = std::int64_t{meta_size} * sizeof(float);
  const std::int64_t target_chunks = std::min(kMaxChunks, kMaxPartialBytes / bytes);
  const std::int64_t tiles = tile_count(block_coordinates);
  const std::int64_t tiles_per_chunk =
      std::max<std::int64_t>((tiles + target_chunks - 1) / target_chunks, 1);
  coordinates = tiles_per_chunk * kTile;
  max_chunks = (tiles + tiles_per_chunk - 1) / tiles_per_chunk;
}

void lstm_weight_gradient(const LstmWeightGradientArgs& args, const Device& device) {
  const LstmConfig& lstm = args.lstm;
  const int hidden = lstm.hidden, output = lstm_output_offset(lstm);
  const std::int64_t columns = args.kept.columns;
  const auto h_after = [&](int layer) { return args.kept.state + 2 * layer * hidden * columns; };

  Parameters parameters = {
      .products = {},
      .product_count = lstm.layers + 1,
      .groups = 0,
      .meta_size = output + lstm.outputs() * (hidden + 1),
      .n = args.n,
      .columns = columns,
      .chunk_coordinates = args.chunk_coordinates,
      .partials = args.partials,
  };
  for (int layer = 0; layer < lstm.layers; ++layer) {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    parameters.products[layer] = {
        .adjoints = args.kept.gates + 4 * layer * hidden * columns,
        .below = layer == 0 ? args.kept.inputs : h_after(layer - 1),
        .own = args.state_before + 2 * layer * hidden * columns,
        .adjoint_rows = 4 * hidden,
        .below_rows = at.inputs,
        .own_rows = hidden,
        .weight_below = at.weight_ih,
        .weight_own = at.weight_hh,
        .bias = at.bias,
    };
  }
  parameters.products[lstm.layers] = {
      .adjoints = args.output_adjoint,
      .below = h_after(lstm.layers - 1),
      .own = nullptr,
      .adjoint_rows = lstm.outputs(),
      .below_rows = hidden,
      .own_rows = 0,
      .weight_below = output,
      .weight_own = 0,
      .bias = output + lstm.outputs() * hidden,
  };

  // Maxima over the products; row groups are the kThreadTile rows of A or of B in shared memory.
  int tiles = 0, max_row_groups = 0;
  for (int k = 0; k < parameters.product_count; ++k) {
    const LayerProduct& product = parameters.products[k];
    tiles = std::max(tiles, product.tiles());
    max_row_groups = std::max(max_row_groups, product.row_tiles() + product.column_tiles());
  }
  parameters.groups = (tiles + kMaxThreads - 1) / kMaxThreads;
  const int tiles_per_group = (tiles + parameters.groups - 1) / parameters.groups;
  const int threads = (tiles_per_group + kWarpSize - 1) / kWarpSize * kWarpSize;
  const LaunchShape shape = {
      .blocks =
          ceil_div(args.n, args.chunk_coordinates) * parameters.product_count * parameters.groups,
      .threads = threads,
      .shared_bytes =
          sizeof(float) * kRowStride * kThreadTile * static_cast<std::size_t>(max_row_groups),
  };
  launch("lstm_weight_gradient", weight_gradient_kernel, device, shape, parameters);
}

}  // namespace l2o::cuda
