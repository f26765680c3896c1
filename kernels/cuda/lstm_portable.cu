// One step of the LSTM without tensor cores. A thread computes its coordinates alone; the inputs of
// a layer are in shared memory, one column per thread; weights are the same for all threads and
// come from the cache, 16 bytes at a time: the four gates of a unit.
#include "kernels/cuda/lstm_portable.h"

#include "kernels/cells/cell_list.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_kept.h"
#include "kernels/cuda/lstm_outputs.cuh"
#include "kernels/cuda/lstm_portable.cuh"
#include "kernels/cuda/lstm_segments.h"
#include "kernels/cuda/lstm_weight_rows.h"
#include "kernels/math/scaled_step.h"
#include "kernels/step_factors.h"

namespace l2o::cuda::portable {
namespace {

// ------------------------------------------------------------------------------------------- pack

__global__ void pack_kernel(LstmWeightRows rows, const float* meta, float* packed) {
  const int position = block_index() * block_threads() + thread_index();
  if (position >= rows.size()) return;
  const int index = rows.phi_index(position);
  packed[position] = index < 0 ? 0.0F : meta[index];
}

// ------------------------------------------------------------------------------------------- step

constexpr int kUnits = LstmWeightRows::kUnitBlock;

struct StepParameters {
  LstmWeightRows rows;
  Inputs inputs;
  const float* packed;
  std::int64_t n;
  int state_size;         // S
  const float* gradient;  // [n]
  float* state;           // [tile][S][kTile], in place
  float* theta;           // [n], in place; null: no update is computed
  StepFactors factors;
  KeptStep kept;
};

/// Rows of shared memory for the inputs of a layer from below.
L2O_HOST_DEVICE int below_rows(const LstmConfig& lstm) {
  return lstm.hidden > Inputs::kMaxInputs ? lstm.hidden : Inputs::kMaxInputs;
}

/// sums[tile][unit][gate] += weights times `count` inputs. weights: those of the first input for
/// the block's first unit; advanced past the last input. column: the thread's.
template <int kTiles>
L2O_DEVICE void multiply(const float*& weights, int row_size, const Values<kTiles>* column,
                         int count, float (&sums)[kTiles][kUnits][4]) {
#pragma unroll 4
  for (int k = 0; k < count; ++k) {
    const auto x = load_vector<Values<kTiles>>(column + k * kThreads);
#pragma unroll
    for (int unit = 0; unit < kUnits; ++unit) {
      const auto w = load_vector<float4>(weights + 4 * unit);
#pragma unroll
      for (int q = 0; q < kTiles; ++q) {
        float(&gates)[4] = sums[q][unit];
        gates[0] = fused(w.x, x.values[q], gates[0]);
        gates[1] = fused(w.y, x.values[q], gates[1]);
        gates[2] = fused(w.z, x.values[q], gates[2]);
        gates[3] = fused(w.w, x.values[q], gates[3]);
      }
    }
    weights += row_size;
  }
}

/// column [H] = h of a layer, which starts at first_row of the state.
template <int kTiles>
L2O_DEVICE void load_hidden(float* const (&state)[kTiles], int first_row, int hidden,
                            Values<kTiles>* column) {
#pragma unroll 4
  for (int unit = 0; unit < hidden; ++unit) {
    Values<kTiles> h;
#pragma unroll
    for (int q = 0; q < kTiles; ++q) h.values[q] = state[q][(first_row + unit) * kTile];
    store_vector(column + unit * kThreads, h);
  }
}

/// The outputs of a thread's coordinates.
template <int kTiles>
struct Outputs {
  bool has_second;  ///< whether there are two
  float first_output[kTiles], second_output[kTiles];

  L2O_DEVICE void start(const LstmConfig& lstm, const float* packed) {
    has_second = lstm.outputs() > 1;
    const float* b_out = packed + lstm.outputs() * lstm.hidden;
#pragma unroll
    for (int q = 0; q < kTiles; ++q) {
      first_output[q] = b_out[0];
      second_output[q] = has_second ? b_out[1] : 0.0F;
    }
  }

  /// The update without output_scale.
  L2O_DEVICE float update(const LstmConfig& lstm, int q, float direction) const {
    if (lstm.output == Output::kLinear) return first_output[q];
    if (lstm.output == Output::kTanh) return tanh_of(first_output[q]);
    return -fused(modulation_of(first_output[q]), direction, tanh_of(second_output[q]));
  }
};

/// For the compiler: minimum number of resident blocks per multiprocessor; 0: the compiler decides.
/// A warp has few tiles if there are few coordinates, or if shared memory has no room for more
/// blocks, so registers need not be saved; the compiler would do so, and spill.
template <int kTiles>
constexpr int kMinResidentBlocks = kTiles == 4 ? 0 : 1;

template <int kTiles, bool kKeep>
__global__ void __launch_bounds__(kThreads, kMinResidentBlocks<kTiles>)
    step_kernel(StepParameters p) {
  static_assert(kColumnGroup % (kTiles * kTile) == 0);
  const std::int64_t end = tile_count(p.n) * kTile, at = first_coordinate<kTiles>();
  if (at >= end) return;
  const LstmConfig& lstm = p.rows.lstm;
  const int hidden = lstm.hidden, row_size = p.rows.row_size();
  // Columns [below_rows][kThreads] and [H][kThreads].
  auto* below = reinterpret_cast<Values<kTiles>*>(shared_memory()) + thread_index();
  Values<kTiles>* own = below + below_rows(lstm) * kThreads;

  // For tiles after the last, the last tile is read again and nothing is written.
  float* state[kTiles];
  bool in_range[kTiles];
  float direction[kTiles];
  Outputs<kTiles> outputs;
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    const std::int64_t coordinate = at + q * kTile;
    in_range[q] = coordinate < end;
    state[q] = p.state + state_index(p.state_size, 0,
                                     in_range[q] ? coordinate : end - kTile + coordinate % kTile);
    const float gradient =
        coordinate < p.n ? p.factors.gradient_scale * p.gradient[coordinate] : 0.0F;
    float inputs[Inputs::kMaxInputs];
    direction[q] =
        p.inputs(gradient, state[q] + lstm_state_size(lstm) * kTile, in_range[q], inputs);
#pragma unroll
    for (int k = 0; k < Inputs::kMaxInputs; ++k) {
      below[k * kThreads].values[q] = inputs[k];
      if (kKeep && k < lstm.inputs()) p.kept.inputs[k * p.kept.columns + coordinate] = inputs[k];
    }
    if (kKeep && p.kept.direction != nullptr) p.kept.direction[coordinate] = direction[q];
  }
  outputs.start(lstm, p.packed);

  for (int layer = 0; layer < lstm.layers; ++layer) {
    const int below_count = p.rows.below(layer);
    const int h_row = 2 * layer * hidden, c_row = h_row + hidden;
    load_hidden(state, h_row, hidden, own);

    for (int first = 0; first < hidden; first += kUnits) {
      float c[kTiles][kUnits];  // used only after the product, which hides the latency of the load
#pragma unroll
      for (int unit = 0; unit < kUnits; ++unit) {
        const int row = c_row + (first + unit < hidden ? first + unit : first);
#pragma unroll
        for (int q = 0; q < kTiles; ++q) c[q][unit] = state[q][row * kTile];
      }
      const float* weights = p.packed + p.rows.offset(layer) + 4 * first;
      const float* bias = weights + (below_count + hidden) * row_size;
      float sums[kTiles][kUnits][4];
#pragma unroll
      for (int unit = 0; unit < kUnits; ++unit) {
        const auto b = load_vector<float4>(bias + 4 * unit);
#pragma unroll
        for (int q = 0; q < kTiles; ++q) {
          sums[q][unit][0] = b.x, sums[q][unit][1] = b.y;
          sums[q][unit][2] = b.z, sums[q][unit][3] = b.w;
        }
      }
      multiply(weights, row_size, below, below_count, sums);
      multiply(weights, row_size, own, hidden, sums);

#pragma unroll
      for (int block_unit = 0; block_unit < kUnits; ++block_unit) {
        const int unit = first + block_unit;
        if (unit >= hidden) break;
        const float w_out = p.packed[unit];
        const float second_w_out = outputs.has_second ? p.packed[hidden + unit] : 0.0F;
#pragma unroll
        for (int q = 0; q < kTiles; ++q) {
          const float(&z)[4] = sums[q][block_unit];
          const float i = sigmoid_of(z[0]), f = sigmoid_of(z[1]);
          const float g = tanh_of(z[2]), o = sigmoid_of(z[3]);
          const float c_after = fused(f, c[q][block_unit], i * g);
          const float h_after = o * tanh_of(c_after);
          outputs.first_output[q] = fused(w_out, h_after, outputs.first_output[q]);
          if (outputs.has_second) {
            outputs.second_output[q] = fused(second_w_out, h_after, outputs.second_output[q]);
          }
          if (in_range[q]) {
            state[q][(h_row + unit) * kTile] = h_after;
            state[q][(c_row + unit) * kTile] = c_after;
          }
          if constexpr (kKeep) {
            const std::int64_t columns = p.kept.columns, coordinate = at + q * kTile;
            float* gates = p.kept.gates + (4 * layer * hidden + unit) * columns + coordinate;
            gates[0] = i;
            gates[hidden * columns] = f;
            gates[2 * hidden * columns] = g;
            gates[3 * hidden * columns] = o;
            float* kept_state = p.kept.state + (h_row + unit) * columns + coordinate;
            kept_state[0] = h_after;
            kept_state[hidden * columns] = c_after;
          }
        }
      }
    }

    if (layer + 1 == lstm.layers) break;
    // All units of the layer have been updated, so h from before the step is no longer needed.
    load_hidden(state, h_row, hidden, below);
    outputs.start(lstm, p.packed);  // only those of the top layer matter
  }

  if (p.theta == nullptr) return;
#pragma unroll
  for (int q = 0; q < kTiles; ++q) {
    const std::int64_t coordinate = at + q * kTile;
    if (coordinate >= p.n) continue;
    const float update = lstm.output_scale * outputs.update(lstm, q, direction[q]);
    p.theta[coordinate] =
        scaled_step(p.theta[coordinate], update, p.factors.update_scale_of(coordinate / kTile),
                    p.factors.weight_decay);
  }
}

template <bool kKeep>
void launch_step(const StepParameters& parameters, const Device& device) {
  const LstmConfig& lstm = parameters.rows.lstm;
  const std::int64_t tiles = tile_count(parameters.n);
  const std::size_t shared_bytes =
      sizeof(float) * kThreads * static_cast<std::size_t>(below_rows(lstm) + lstm.hidden);
  choose_tiles(tiles, shared_bytes, device, [&](auto tiles_per_warp) {
    constexpr int kTiles = decltype(tiles_per_warp)::value;
    const LaunchShape shape = {
        .blocks = ceil_div(tiles, kTiles * kThreads / kWarpSize),
        .threads = kThreads,
        .shared_bytes = kTiles * shared_bytes,
    };
    launch("lstm_step", step_kernel<kTiles, kKeep>, device, shape, parameters);
  });
}

}  // namespace

std::size_t packed_bytes(const LstmConfig& lstm) {
  return sizeof(float) * static_cast<std::size_t>(LstmWeightRows{lstm}.size());
}

void pack(const PackArgs& args, const Device& device) {
  const LstmWeightRows rows{args.cell.lstm};
  const LaunchShape shape = {.blocks = ceil_div(rows.size(), 256), .threads = 256};
  launch("pack", pack_kernel, device, shape, rows, args.meta, static_cast<float*>(args.packed));
}

void step(const StepArgs& args, const Device& device) {
  const StepParameters parameters = {
      .rows = {args.cell.lstm},
      .inputs = Inputs(args.cell.lstm),
      .packed = static_cast<const float*>(args.packed),
      .n = args.n,
      .state_size = cell_state_size(args.cell),
      .gradient = args.gradient,
      .state = static_cast<float*>(args.state),
      .theta = args.theta,
      .factors = StepFactors(args),
      .kept = {},
  };
  launch_step<false>(parameters, device);
}

std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device&) {
  return segmented_unroll_backward_scratch_bytes(args, Precision::kF32);
}

void unroll_backward(const UnrollBackwardArgs& args, const Device& device) {
  const auto* packed = static_cast<const float*>(args.packed);
  const auto replay_step = [&](const ReplayStep& step) {
    StepParameters parameters = {
        .rows = {args.cell.lstm},
        .inputs = Inputs(args.cell.lstm),
        .packed = packed,
        .n = step.n,
        .state_size = cell_state_size(args.cell),
        .gradient = step.gradient,
        .state = static_cast<float*>(step.state),
        .theta = nullptr,
        .factors = StepFactors(StepArgs{}),
        .kept = {},
    };
    if (step.kept == nullptr) {
      launch_step<false>(parameters, device);
    } else {
      parameters.kept = *step.kept;
      launch_step<true>(parameters, device);
    }
  };
  segmented_unroll_backward(
      args, {.precision = Precision::kF32, .weights = packed, .step = replay_step}, device);
}

ReplayBytes replay_bytes(const CellConfig& cell, const Device&) {
  return segmented_replay_bytes(cell, Precision::kF32);
}

}  // namespace l2o::cuda::portable
