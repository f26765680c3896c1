// Adjoints of one step, coordinate by coordinate (docs/math.md, section 2). A thread has the same
// coordinates as in lstm_portable.cu and reads only what it wrote itself.
#include "kernels/cuda/lstm_adjoint.h"

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_portable.cuh"

namespace l2o::cuda {
namespace {

using portable::Coordinates;
using portable::kThreads;

constexpr int kRows = LstmWeightRows::kRowBlock;

/// Through the pointwise part of a layer: its gates become dz, and dc that of c before the step.
/// In the top layer the output adds its part to dh, which has all others already.
template <int kTiles>
L2O_DEVICE void pointwise_adjoint(const LstmAdjointArgs& args, int layer,
                                  const Coordinates<kTiles>& coordinates,
                                  const float (&output_adjoint)[kTiles]) {
  const int hidden = args.rows.lstm.hidden;
  const bool top = layer + 1 == args.rows.lstm.layers;
  const std::int64_t columns = args.kept.columns;
  const std::int64_t gate_stride = hidden * columns;
#pragma unroll 2
  for (int unit = 0; unit < hidden; ++unit) {
    const std::int64_t h_row = (2 * layer * hidden + unit) * columns, c_row = h_row + gate_stride;
    const float w_out = top ? args.packed[unit] : 0.0F;
#pragma unroll
    for (int q = 0; q < kTiles; ++q) {
      const std::int64_t at = coordinates.at[q];
      float* gates = args.kept.gates + (4 * layer * hidden + unit) * columns + at;
      float* dc_place = args.state_adjoint + c_row + at;
      const float i = gates[0], f = gates[gate_stride];
      const float g = gates[2 * gate_stride], o = gates[3 * gate_stride];
      const float tanh_c = portable::tanh_of(args.kept.state[c_row + at]);
      const float dh = fused(w_out, output_adjoint[q], args.state_adjoint[h_row + at]);
      const float dc = fused(dh, o * fused(-tanh_c, tanh_c, 1.0F), *dc_place);
      const float dc_i = dc * i, dc_f = dc * f;
      if (!coordinates.exists[q]) continue;
      *dc_place = dc_f;
      gates[0] = dc_i * g * (1.0F - i);
      gates[gate_stride] = dc_f * args.state_before[c_row + at] * (1.0F - f);
      gates[2 * gate_stride] = dc_i * fused(-g, g, 1.0F);
      gates[3 * gate_stride] = dh * tanh_c * o * (1.0F - o);
    }
  }
}

/// Through the products of a layer, W^T dz: dh of the layer below is added to, its own becomes that
/// of h before the step. The bottom layer's inputs from below are constants.
template <int kTiles>
L2O_DEVICE void product_adjoint(const LstmAdjointArgs& args, int layer,
                                const Coordinates<kTiles>& coordinates) {
  const int hidden = args.rows.lstm.hidden, row_size = args.rows.row_size();
  const std::int64_t columns = args.kept.columns, gate_stride = hidden * columns;
  const int own_row = args.rows.below(layer), end_row = own_row + hidden;
  // dh of an input: of the layer below, or of this one.
  const auto adjoint_row = [&](int row) {
    const int state_row =
        row < own_row ? 2 * (layer - 1) * hidden + row : 2 * layer * hidden + row - own_row;
    return args.state_adjoint + state_row * columns;
  };
  for (int first = layer == 0 ? own_row : 0; first < end_row; first += kRows) {
    float sums[kTiles][kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
#pragma unroll
      for (int q = 0; q < kTiles; ++q) {
        sums[q][row] = first + row < own_row ? adjoint_row(first + row)[coordinates.at[q]] : 0.0F;
      }
    }
    const float* weights = args.packed + args.rows.offset(layer) + first * row_size;
    const float* dz_row = args.kept.gates + 4 * layer * hidden * columns;
#pragma unroll 2
    for (int unit = 0; unit < hidden; ++unit) {
      float dz[kTiles][4];
#pragma unroll
      for (int q = 0; q < kTiles; ++q) {
#pragma unroll
        for (int gate = 0; gate < 4; ++gate) {
          dz[q][gate] = dz_row[gate * gate_stride + coordinates.at[q]];
        }
      }
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        // Behind end_row they are something else, and these sums are dropped.
        const auto w = load_vector<float4>(weights + row * row_size);
#pragma unroll
        for (int q = 0; q < kTiles; ++q) {
          float& sum = sums[q][row];
          sum = fused(w.x, dz[q][0], sum);
          sum = fused(w.y, dz[q][1], sum);
          sum = fused(w.z, dz[q][2], sum);
          sum = fused(w.w, dz[q][3], sum);
        }
      }
      weights += 4;
      dz_row += columns;
    }
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (first + row >= end_row) break;
      float* destination = adjoint_row(first + row);
#pragma unroll
      for (int q = 0; q < kTiles; ++q) {
        if (coordinates.exists[q]) destination[coordinates.at[q]] = sums[q][row];
      }
    }
  }
}

template <int kTiles>
__global__ void __launch_bounds__(kThreads) lstm_adjoint_kernel(LstmAdjointArgs args) {
  const std::int64_t tiles = tile_count(args.n);
  if (!Coordinates<kTiles>::any(tiles)) return;
  const Coordinates<kTiles> coordinates(tiles);
  const float weight = args.rows.lstm.output_scale * *args.weight;
  float output_adjoint[kTiles];
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    const std::int64_t at = coordinates.at[q];
    const float gradient = at < args.n ? args.gradient[at] : 0.0F;
    output_adjoint[q] = fused(weight, gradient, args.output_adjoint[at]);
    if (coordinates.exists[q]) args.output_adjoint[at] = output_adjoint[q];
  }
  for (int layer = args.rows.lstm.layers - 1; layer >= 0; --layer) {
    pointwise_adjoint(args, layer, coordinates, output_adjoint);
    product_adjoint(args, layer, coordinates);
  }
}

}  // namespace

void lstm_adjoint(const LstmAdjointArgs& args, const Device& device) {
  const std::int64_t tiles = tile_count(args.n);
  portable::choose_tiles(tiles, 0, device, [&](auto tiles_per_warp) {
    constexpr int kTiles = decltype(tiles_per_warp)::value;
    const LaunchShape shape = {
        .blocks = blocks_for(tiles, kTiles * kThreads / kWarp),
        .threads = kThreads,
    };
    launch("lstm_adjoint", lstm_adjoint_kernel<kTiles>, device, shape, args);
  });
}

}  // namespace l2o::cuda
