// Runs any cell of cell_list.h, coordinate by coordinate: the hand-designed rules, and LSTMs
// without layers or with an input projection. packed is phi itself.
//
// Results do not depend on the number of threads or on segment_length: every coordinate is replayed
// with the same arithmetic, coordinates are split into chunks whose boundaries depend on N only,
// and the chunks' gradients are summed in order, in double.

#include <algorithm>
#include <cstring>

#include "kernels/cells/cell_list.h"
#include "kernels/cpu/launchers.h"
#include "kernels/math/scaled_step.h"
#include "kernels/step_factors.h"

namespace l2o::cpu {
namespace {

/// Maximum number of state values of a cell: that of the largest LSTM.
constexpr int kMaxState =
    2 * LstmConfig::kMaxLayers * LstmConfig::kMaxHidden + LstmConfig::kMaxPreprocessingState;

constexpr CellConfig largest_cell() {
  CellConfig config;
  config.lstm.layers = LstmConfig::kMaxLayers;
  config.lstm.hidden = LstmConfig::kMaxHidden;
  config.lstm.preprocessing = Preprocessing::kAdamMoments;
  return config;
}
static_assert(every_cell([](auto cell) {
  return decltype(cell)::state_size(largest_cell()) <= kMaxState;
}));

/// Tiles that a worker takes at a time in a step: 1024 coordinates.
constexpr std::int64_t kStepTiles = 32;

/// Maximum number of partial gradients of an unroll backward; bounds its memory for any N.
constexpr std::int64_t kMaxChunks = 64;

// ----------------------------------------------------------------------------------------- step

/// Steps `lanes` coordinates of one tile, scaling their updates by `scale`. state_tile [S][kTile],
/// gradient and theta [lanes].
template <class Cell>
inline void step_lanes(const CellConfig& config, const float* meta, const StepFactors& factors,
                       float scale, int lanes, const float* __restrict gradient,
                       float* __restrict state_tile, float* __restrict theta) {
  const int state_size = Cell::state_size(config);
  for (int lane = 0; lane < lanes; ++lane) {
    float state[kMaxState];
    for (int s = 0; s < state_size; ++s) state[s] = state_tile[s * kTile + lane];
    const float update =
        Cell::forward(config, meta, factors.gradient_scale * gradient[lane], state);
    theta[lane] = scaled_step(theta[lane], update, scale, factors.weight_decay);
    for (int s = 0; s < state_size; ++s) state_tile[s * kTile + lane] = state[s];
  }
}

template <class Cell>
void step_tiles(const StepArgs& args, std::int64_t first_tile, std::int64_t end_tile) {
  const CellConfig config = args.cell;  // a copy: stores to theta cannot alias it
  const auto* meta = static_cast<const float*>(args.packed);
  const std::int64_t tile_floats = std::int64_t{Cell::state_size(config)} * kTile;
  const StepFactors factors(args);
  for (std::int64_t tile = first_tile; tile < end_tile; ++tile) {
    const std::int64_t first = tile * kTile;
    float* state_tile = static_cast<float*>(args.state) + tile * tile_floats;
    const float scale = factors.update_scale_of(tile);
    if (first + kTile <= args.n) {
      step_lanes<Cell>(config, meta, factors, scale, kTile, args.gradient + first, state_tile,
                       args.theta + first);
    } else {
      step_lanes<Cell>(config, meta, factors, scale, static_cast<int>(args.n - first),
                       args.gradient + first, state_tile, args.theta + first);
    }
  }
}

// ------------------------------------------------------------------------------- unroll backward

/// Partitioning of an unroll backward, and the layout of its scratch:
/// partial gradients [chunks][P] double, then per worker [checkpoints + segment][S] float.
struct BackwardPlan {
  std::int64_t chunks, chunk_tiles;
  int state_size, meta_size, checkpoints;
  std::size_t partial_bytes, worker_floats;

  explicit BackwardPlan(const UnrollBackwardArgs& args)
      : state_size(cell_state_size(args.cell)), meta_size(cell_meta_size(args.cell)) {
    const std::int64_t tiles = tile_count(args.n);
    chunk_tiles = (tiles + kMaxChunks - 1) / kMaxChunks;
    chunks = tiles == 0 ? 0 : (tiles + chunk_tiles - 1) / chunk_tiles;
    const int segment = std::max(args.segment_length, 1);
    checkpoints = (args.unroll_length + segment - 1) / segment;
    partial_bytes =
        static_cast<std::size_t>(chunks) * static_cast<std::size_t>(meta_size) * sizeof(double);
    worker_floats = (static_cast<std::size_t>(checkpoints) + static_cast<std::size_t>(segment)) *
                    static_cast<std::size_t>(state_size);
  }
};

/// Replays the unroll of one coordinate and backpropagates through it, last step first.
/// workspace [checkpoints + segment][S]; adds to partial [P].
template <class Cell>
void backward_coordinate(const UnrollBackwardArgs& args, const BackwardPlan& plan,
                         std::int64_t coordinate, float* workspace, double* partial) {
  const CellConfig& config = args.cell;
  const auto* meta = static_cast<const float*>(args.packed);
  const int state_size = plan.state_size, segment = args.segment_length;
  const UnrollFactors factors(args);
  const std::int64_t stride = trace_stride(args);
  const std::int64_t tile = coordinate / kTile;
  const auto gradient = [&](int t) { return args.trace[t * stride + coordinate]; };
  const auto weighted_gradient = [&](int t) { return factors.weight(t, tile) * gradient(t); };
  const auto copy_state = [&](float* to, const float* from) {
    std::copy(from, from + state_size, to);
  };

  // Forward over the whole unroll, saving the state at the start of every segment. The steps of the
  // last segment need not run here: they are replayed below.
  float state[kMaxState];
  const auto* start = static_cast<const float*>(args.start_state);
  for (int s = 0; s < state_size; ++s) state[s] = start[state_index(state_size, s, coordinate)];
  const auto saved = [&](std::int64_t row) { return workspace + row * state_size; };
  for (int t = 0; t <= (plan.checkpoints - 1) * segment; ++t) {
    if (t % segment == 0) copy_state(saved(t / segment), state);
    if (t < (plan.checkpoints - 1) * segment) Cell::forward(config, meta, gradient(t), state);
  }

  float* before = saved(plan.checkpoints);  // [segment][S] states before each step
  float state_adjoint[kMaxState] = {};
  float theta_adjoint = weighted_gradient(args.unroll_length);
  for (int checkpoint = plan.checkpoints - 1; checkpoint >= 0; --checkpoint) {
    const int begin = checkpoint * segment;
    const int end = std::min(begin + segment, args.unroll_length);
    copy_state(state, saved(checkpoint));
    for (int t = begin; t < end; ++t) {
      copy_state(before + std::int64_t{t - begin} * state_size, state);
      if (t + 1 < end) Cell::forward(config, meta, gradient(t), state);
    }
    for (int t = end - 1; t >= begin; --t) {
      Cell::backward(config, meta, gradient(t), before + std::int64_t{t - begin} * state_size,
                     factors.update_scale(t, tile) * theta_adjoint, state_adjoint,
                     [&](int i, float value) { partial[i] += double{value}; });
      theta_adjoint += weighted_gradient(t);
    }
  }
}

template <class Cell>
constexpr bool has_meta_parameters() {
  return requires(const CellConfig& config, float* values, void (*sink)(int, float)) {
    Cell::backward(config, values, 0.0F, values, 0.0F, values, sink);
  };
}

}  // namespace

std::size_t generic_packed_bytes(const CellConfig& cell) {
  return static_cast<std::size_t>(cell_meta_size(cell)) * sizeof(float);
}

void generic_pack(const PackArgs& args) {
  const std::size_t bytes = generic_packed_bytes(args.cell);
  if (bytes > 0) std::memcpy(args.packed, args.meta, bytes);
}

void generic_step(const StepArgs& args, ThreadPool& pool) {
  const std::int64_t tiles = tile_count(args.n);
  const std::int64_t blocks = (tiles + kStepTiles - 1) / kStepTiles;
  visit_cell(args.cell.kind, [&](auto cell) {
    pool.parallel_for(blocks, [&](std::int64_t block, int /*worker*/) {
      const std::int64_t first_tile = block * kStepTiles;
      step_tiles<decltype(cell)>(args, first_tile, std::min(first_tile + kStepTiles, tiles));
    });
  });
}

std::size_t generic_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads) {
  const BackwardPlan plan(args);
  return plan.partial_bytes +
         static_cast<std::size_t>(threads) * plan.worker_floats * sizeof(float);
}

void generic_unroll_backward(const UnrollBackwardArgs& args, ThreadPool& pool) {
  const BackwardPlan plan(args);
  auto* partials = static_cast<double*>(args.scratch);
  auto* workspaces =
      reinterpret_cast<float*>(static_cast<std::byte*>(args.scratch) + plan.partial_bytes);

  visit_cell(args.cell.kind, [&](auto cell) {
    using Cell = decltype(cell);
    if constexpr (has_meta_parameters<Cell>()) {
      pool.interruptible_for(plan.chunks, [&](std::int64_t chunk, int worker) {
        double* partial = partials + chunk * plan.meta_size;
        std::fill(partial, partial + plan.meta_size, 0.0);
        float* workspace = workspaces + static_cast<std::size_t>(worker) * plan.worker_floats;
        const std::int64_t first = chunk * plan.chunk_tiles * kTile;
        const std::int64_t end = std::min(first + plan.chunk_tiles * kTile, args.n);
        for (std::int64_t coordinate = first; coordinate < end; ++coordinate) {
          backward_coordinate<Cell>(args, plan, coordinate, workspace, partial);
        }
      });
    }
  });

  for (int i = 0; i < plan.meta_size; ++i) {
    double sum = 0.0;
    for (std::int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
      sum += partials[chunk * plan.meta_size + i];
    }
    args.meta_gradient[i] = static_cast<float>(sum);
  }
}

}  // namespace l2o::cpu
