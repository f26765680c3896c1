// Adjoints of one step, coordinate by coordinate (docs/math.md, section 2). A thread has the same
// coordinates as in lstm_portable.cu and reads only what it wrote itself.
#include "kernels/cuda/lstm_adjoint.h"

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_outputs.cuh"
#include "kernels/cuda/lstm_portable.cuh"

namespace l2o::cuda {
namespace {

using portable::kThreads;

constexpr int kRows = LstmWeightRows::kRowBlock;

/// d meta-loss / d o for every coordinate of the thread.
template <int kTiles>
using OutputAdjoints = float[LstmConfig::kMaxOutputs][kTiles];

/// Computes the adjoints of the outputs from those of the updates, times output_scale. The outputs
/// are recomputed from h after the step.
template <int kTiles>
L2O_DEVICE void backpropagate_outputs(const LstmAdjointArgs& args, std::int64_t at,
                                      const float (&update_adjoint)[kTiles],
                                      OutputAdjoints<kTiles>& output_adjoint) {
  const LstmConfig& lstm = args.rows.lstm;
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    output_adjoint[0][q] = update_adjoint[q];
    output_adjoint[1][q] = 0.0F;
  }
  if (lstm.output == Output::kLinear) return;
  const int hidden = lstm.hidden, outputs = lstm.outputs();
  const std::int64_t columns = args.kept.columns;
  const float* h = args.kept.state + 2 * (lstm.layers - 1) * hidden * columns + at;
  const float* b_out = args.packed + outputs * hidden;
  float o[LstmConfig::kMaxOutputs][kTiles];
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    o[0][q] = b_out[0];
    o[1][q] = b_out[outputs - 1];
  }
  for (int unit = 0; unit < hidden; ++unit) {
    const float first = args.packed[unit], second = args.packed[(outputs - 1) * hidden + unit];
#pragma unroll
    for (int q = 0; q < kTiles; ++q) {
      const float h_unit = h[unit * columns + q * kTile];
      o[0][q] = fused(first, h_unit, o[0][q]);
      o[1][q] = fused(second, h_unit, o[1][q]);
    }
  }
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    const float y = portable::tanh_of(o[1][q]), slope = fused(-y, y, 1.0F);
    if (lstm.output == Output::kTanh) {  // a single output, for which o[1] is o[0]
      output_adjoint[0][q] = update_adjoint[q] * slope;
    } else {
      const float direction = args.kept.direction[at + q * kTile];
      output_adjoint[0][q] = -update_adjoint[q] * (modulation_slope(o[0][q]) * direction);
      output_adjoint[1][q] = -update_adjoint[q] * slope;
    }
  }
}

/// The pointwise part of a layer: overwrites its gates with dz, and dc with the adjoint of c before
/// the step. In the top layer, adds the contribution of the outputs to dh, which already has all
/// others.
template <int kTiles>
L2O_DEVICE void pointwise_adjoint(const LstmAdjointArgs& args, int layer, std::int64_t at,
                                  const OutputAdjoints<kTiles>& output_adjoint) {
  const int hidden = args.rows.lstm.hidden;
  const bool top = layer + 1 == args.rows.lstm.layers;
  const bool second_output = top && args.rows.lstm.outputs() > 1;
  const std::int64_t columns = args.kept.columns, gate_stride = hidden * columns;
  for (int unit = 0; unit < hidden; ++unit) {
    const std::int64_t h_offset = (2 * layer * hidden + unit) * columns + at;
    const std::int64_t c_offset = h_offset + gate_stride;
    const float* cells_before = args.state_before + c_offset;
    const float* cells_after = args.kept.state + c_offset;
    const float* dh = args.state_adjoint + h_offset;
    float* dc = args.state_adjoint + c_offset;
    float* gates_i = args.kept.gates + (4 * layer * hidden + unit) * columns + at;
    float* gates_f = gates_i + gate_stride;
    float* gates_g = gates_f + gate_stride;
    float* gates_o = gates_g + gate_stride;
    const float w_out = top ? args.packed[unit] : 0.0F;
    const float second_w_out = second_output ? args.packed[hidden + unit] : 0.0F;

    // All loads are issued before the first store.
    struct {
      float c_before, c_after, dh, dc, i, f, g, o;
    } values[kTiles];
#pragma unroll
    for (int q = 0; q < kTiles; ++q) {
      const int k = q * kTile;
      values[q] = {cells_before[k], cells_after[k], dh[k],      dc[k],
                   gates_i[k],      gates_f[k],     gates_g[k], gates_o[k]};
    }
#pragma unroll
    for (int q = 0; q < kTiles; ++q) {
      const auto [c, c_after, dh_partial, dc_after, i, f, g, o] = values[q];
      const float tanh_c = portable::tanh_of(c_after);
      float dh_total = fused(w_out, output_adjoint[0][q], dh_partial);
      if (second_output) dh_total = fused(second_w_out, output_adjoint[1][q], dh_total);
      const float dc_total = fused(dh_total, o * fused(-tanh_c, tanh_c, 1.0F), dc_after);
      const float dc_i = dc_total * i, dc_f = dc_total * f;
      dc[q * kTile] = dc_f;
      gates_i[q * kTile] = dc_i * g * (1.0F - i);
      gates_f[q * kTile] = dc_f * c * (1.0F - f);
      gates_g[q * kTile] = dc_i * fused(-g, g, 1.0F);
      gates_o[q * kTile] = dh_total * tanh_c * o * (1.0F - o);
    }
  }
}

/// The products of a layer, W^T dz: adds to dh of the layer below, and overwrites the layer's own
/// dh with that of h before the step. Inputs of the bottom layer are constants.
template <int kTiles>
L2O_DEVICE void product_adjoint(const LstmAdjointArgs& args, int layer, std::int64_t at) {
  const int hidden = args.rows.lstm.hidden, row_size = args.rows.row_size();
  const std::int64_t columns = args.kept.columns, gate_stride = hidden * columns;
  const int own_row = args.rows.below(layer), end_row = own_row + hidden;
  // dh of an input, which belongs to the layer below or to this layer.
  const auto adjoint_of = [&](int row) {
    const int state_row =
        row < own_row ? 2 * (layer - 1) * hidden + row : 2 * layer * hidden + row - own_row;
    return args.state_adjoint + state_row * columns + at;
  };
  for (int first = layer == 0 ? own_row : 0; first < end_row; first += kRows) {
    float sums[kTiles][kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
#pragma unroll
      for (int q = 0; q < kTiles; ++q) {
        sums[q][row] = first + row < own_row ? adjoint_of(first + row)[q * kTile] : 0.0F;
      }
    }
    const float* weights = args.packed + args.rows.offset(layer) + first * row_size;
    const float* dz_unit = args.kept.gates + 4 * layer * hidden * columns + at;
#pragma unroll 2
    for (int unit = 0; unit < hidden; ++unit) {
      float dz[kTiles][4];
#pragma unroll
      for (int gate = 0; gate < 4; ++gate) {
        const float* dz_gate = dz_unit + gate * gate_stride;
#pragma unroll
        for (int q = 0; q < kTiles; ++q) dz[q][gate] = dz_gate[q * kTile];
      }
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        // Rows from end_row on are other data; their sums are discarded.
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
      dz_unit += columns;
    }
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (first + row >= end_row) break;
      float* destination = adjoint_of(first + row);
#pragma unroll
      for (int q = 0; q < kTiles; ++q) destination[q * kTile] = sums[q][row];
    }
  }
}

template <int kTiles>
__global__ void __launch_bounds__(kThreads) lstm_adjoint_kernel(LstmAdjointArgs args) {
  static_assert(kColumnGroup % (kTiles * kTile) == 0);
  const std::int64_t at = portable::first_coordinate<kTiles>();
  if (at >= tile_count(args.n) * kTile) return;
  float update_adjoint[kTiles];
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    const std::int64_t coordinate = at + q * kTile;
    const bool in_range = coordinate < args.n;
    const std::int64_t tile = in_range ? coordinate / kTile : 0;
    const float gradient = in_range ? args.gradient[coordinate] : 0.0F;
    const float weight = args.rows.lstm.output_scale * args.factors.weight(args.step + 1, tile);
    const float theta_adjoint = fused(weight, gradient, args.theta_adjoint[coordinate]);
    args.theta_adjoint[coordinate] = theta_adjoint;
    update_adjoint[q] = theta_adjoint * args.factors.update_scale(args.step, tile);
  }
  OutputAdjoints<kTiles> output_adjoint;
  backpropagate_outputs(args, at, update_adjoint, output_adjoint);
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    for (int row = 0; row < args.rows.lstm.outputs(); ++row) {
      args.output_adjoint[row * args.kept.columns + at + q * kTile] = output_adjoint[row][q];
    }
  }
  for (int layer = args.rows.lstm.layers - 1; layer >= 0; --layer) {
    pointwise_adjoint(args, layer, at, output_adjoint);
    product_adjoint<kTiles>(args, layer, at);
  }
}

}  // namespace

void lstm_adjoint(const LstmAdjointArgs& args, const Device& device) {
  const std::int64_t tiles = tile_count(args.n);
  portable::choose_tiles(tiles, 0, device, [&](auto tiles_per_warp) {
    constexpr int kTiles = decltype(tiles_per_warp)::value;
    const LaunchShape shape = {
        .blocks = ceil_div(tiles, kTiles * kThreads / kWarpSize),
        .threads = kThreads,
    };
    launch("lstm_adjoint", lstm_adjoint_kernel<kTiles>, device, shape, args);
  });
}

}  // namespace l2o::cuda
