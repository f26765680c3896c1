// The driver of the segmented unroll backward, and the layout of its scratch.
#include "kernels/cuda/lstm_segments.h"

#include <algorithm>
#include <utility>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_adjoint.h"
#include "kernels/cuda/lstm_weight_gradient.h"
#include "kernels/cuda/reduce_partials.h"
#include "kernels/cuda/state_layout.h"
#include "kernels/step_factors.h"

namespace l2o::cuda {
namespace {

// ---------------------------------------------------------------------------- sizes and offsets

/// Divides N coordinates into blocks of about the same size; boundaries depend only on N.
struct BlockPlan {
  explicit BlockPlan(std::int64_t n) {
    const std::int64_t nonzero_n = std::max(n, std::int64_t{1});
    const std::int64_t target_blocks = ceil_div(nonzero_n, kReplayCoordinates);
    coordinates = ceil_div(nonzero_n, target_blocks * kColumnGroup) * kColumnGroup;
    blocks = ceil_div(n, coordinates);
  }

  std::int64_t coordinates;  ///< per block, and columns of its rows; the last block may have fewer
  std::int64_t blocks;
};
static_assert(kReplayCoordinates % kColumnGroup == 0);

/// Number of float32 rows that the replay keeps for a step, without the state after it: inputs,
/// gates, and Adam's direction if the backward pass needs it.
int step_rows(const LstmConfig& lstm) {
  const int directions = lstm.output == Output::kModulated ? 1 : 0;
  return lstm.inputs() + 4 * lstm.layers * lstm.hidden + directions;
}

/// Offsets in scratch, in bytes. Rows as in KeptStep.
struct ScratchLayout {
  ScratchLayout(const UnrollBackwardArgs& args, Precision precision)
      : plan(args.n),
        chunks(plan.coordinates, cell_meta_size(args.cell)),
        segments((args.unroll_length + args.segment_length - 1) / args.segment_length),
        row_bytes(sizeof(float) * static_cast<std::size_t>(plan.coordinates)),
        state_rows(static_cast<std::size_t>(lstm_state_size(args.cell.lstm))),
        block_state_bytes(static_cast<std::size_t>(plan.coordinates / kTile *
                                                   state_tile_bytes(args.cell, precision))) {
    std::size_t next = 0;
    const auto reserve = [&](std::size_t bytes) { return std::exchange(next, next + bytes); };
    const auto steps = static_cast<std::size_t>(std::min(args.segment_length, args.unroll_length));
    const std::size_t partial_bytes =
        sizeof(float) * static_cast<std::size_t>(cell_meta_size(args.cell));
    step_bytes = row_bytes * static_cast<std::size_t>(step_rows(args.cell.lstm));
    kept_steps = reserve(steps * step_bytes);
    kept_states = reserve((steps + 1) * state_rows * row_bytes);
    state_adjoint = reserve(state_rows * row_bytes);
    theta_adjoint = reserve(row_bytes);
    output_adjoint = reserve(static_cast<std::size_t>(args.cell.lstm.outputs()) * row_bytes);
    state = reserve(block_state_bytes);
    checkpoints = reserve(static_cast<std::size_t>(std::max(segments - 2, 0)) * block_state_bytes);
    block_partials = reserve(plan.blocks > 1 ? static_cast<std::size_t>(plan.blocks) * partial_bytes
                                             : std::size_t{0});
    chunk_partials = reserve(static_cast<std::size_t>(chunks.max_chunks) * partial_bytes);
    size = next;
  }

  BlockPlan plan;
  WeightGradientChunks chunks;
  int segments;
  std::size_t row_bytes, state_rows, step_bytes, block_state_bytes;
  std::size_t kept_steps;      // [step] inputs, gates and direction
  std::size_t kept_states;     // [step + 1] state before each step, and after the last
  std::size_t state_adjoint;   // [2 L H] rows
  std::size_t theta_adjoint;   // [1] row, follows state_adjoint
  std::size_t output_adjoint;  // [outputs] rows
  std::size_t state;           // tiles, updated by the steps
  std::size_t checkpoints;     // tiles at the start of segments 1 .. segments - 2
  std::size_t block_partials;  // [blocks, P]; none with one block
  std::size_t chunk_partials;  // [chunks.max_chunks, P], the last
  std::size_t size;
};

// -------------------------------------------------------------------------------------- kernels

struct StateRowsParameters {
  CellConfig cell;
  Precision precision;
  const std::byte* state;  // tiles
  std::int64_t tile_bytes;
  std::int64_t n;  // coordinates of whole tiles
  float* rows;     // [2 L H][columns]
  std::int64_t columns;
};

constexpr int kThreads = 256;

/// h and c of the state as float32 rows, one number per thread.
__global__ void __launch_bounds__(kThreads) state_rows_kernel(StateRowsParameters p) {
  const std::int64_t index = std::int64_t{block_index()} * kThreads + thread_index();
  const auto s = static_cast<int>(index / p.n);
  if (s >= lstm_state_size(p.cell.lstm)) return;
  const std::int64_t coordinate = index % p.n;
  const StateRow row = state_row(p.cell, p.precision, s);
  const std::byte* number =
      p.state + coordinate / kTile * p.tile_bytes + row.offset + coordinate % kTile * row.bytes;
  p.rows[s * p.columns + coordinate] =
      row.bytes == 4 ? *reinterpret_cast<const float*>(number)
                     : low_of_float16(*reinterpret_cast<const std::uint16_t*>(number));
}

// -------------------------------------------------------------------------------------- driver

class SegmentedUnroll {
 public:
  SegmentedUnroll(const UnrollBackwardArgs& args, const LstmReplay& replay, const Device& device)
      : args_(args),
        replay_(replay),
        device_(device),
        layout_(args, replay.precision),
        factors_(args),
        scratch_(static_cast<std::byte*>(args.scratch)) {}

  void run() {
    const BlockPlan& plan = layout_.plan;
    const int meta_size = cell_meta_size(args_.cell);
    float* block_partials = floats(layout_.block_partials);
    for (std::int64_t block = 0; block < plan.blocks; ++block) {
      run_block(block);
      const std::int64_t chunks = ceil_div(n_, layout_.chunks.coordinates);
      reduce_partials(
          {.count = chunks,
           .size = meta_size,
           .partials = floats(layout_.chunk_partials),
           .sums = plan.blocks > 1 ? block_partials + block * meta_size : args_.meta_gradient},
          device_);
    }
    if (plan.blocks == 1) return;
    reduce_partials({.count = plan.blocks,
                     .size = meta_size,
                     .partials = block_partials,
                     .sums = args_.meta_gradient},
                    device_);
  }

 private:
  void run_block(std::int64_t block) {
    first_ = block * layout_.plan.coordinates;
    n_ = std::min(layout_.plan.coordinates, args_.n - first_);
    block_bytes_ = static_cast<std::size_t>(tile_count(n_) * tile_bytes());
    const std::byte* start =
        static_cast<const std::byte*>(args_.start_state) + first_ / kTile * tile_bytes();
    std::byte* state = scratch_ + layout_.state;

    const int last = layout_.segments - 1;
    copy_state(state, start);
    for (int segment = 0; segment < last; ++segment) {
      if (segment > 0) copy_state(checkpoint(segment), state);
      for (int k = 0; k < steps(segment); ++k) take_step(first_step(segment) + k, nullptr);
    }

    fill_zero(layout_.state_adjoint, (layout_.state_rows + 1) * layout_.row_bytes);
    fill_zero(layout_.chunk_partials, layout_.size - layout_.chunk_partials);
    for (int segment = last; segment >= 0; --segment) {
      if (segment < last) copy_state(state, segment == 0 ? start : checkpoint(segment));
      replay(segment);
      backpropagate_segment(segment);
    }
  }

  /// Repeats the steps of the segment from the state at its start, keeping everything.
  void replay(int segment) {
    const std::int64_t padded_n = tile_count(n_) * kTile;
    const LaunchShape shape = {
        .blocks = ceil_div(padded_n * static_cast<std::int64_t>(layout_.state_rows), kThreads),
        .threads = kThreads,
    };
    launch("state_rows", state_rows_kernel, device_, shape,
           StateRowsParameters{.cell = args_.cell,
                               .precision = replay_.precision,
                               .state = scratch_ + layout_.state,
                               .tile_bytes = tile_bytes(),
                               .n = padded_n,
                               .rows = kept_state(0),
                               .columns = layout_.plan.coordinates});
    for (int k = 0; k < steps(segment); ++k) {
      const KeptStep kept = kept_step(k);
      take_step(first_step(segment) + k, &kept);
    }
  }

  /// Adds the gradients of the weights of the segment's steps, the last step first.
  void backpropagate_segment(int segment) {
    for (int k = steps(segment) - 1; k >= 0; --k) {
      const int t = first_step(segment) + k;
      lstm_adjoint({.rows = {args_.cell.lstm},
                    .packed = replay_.weights,
                    .n = n_,
                    .step = t,
                    .factors = factors_.from_tile(first_ / kTile),
                    .gradient = gradient(t + 1),
                    .kept = kept_step(k),
                    .state_before = kept_state(k),
                    .theta_adjoint = floats(layout_.theta_adjoint),
                    .output_adjoint = floats(layout_.output_adjoint),
                    .state_adjoint = floats(layout_.state_adjoint)},
                   device_);
      lstm_weight_gradient({.lstm = args_.cell.lstm,
                            .n = n_,
                            .chunk_coordinates = layout_.chunks.coordinates,
                            .kept = kept_step(k),
                            .state_before = kept_state(k),
                            .output_adjoint = floats(layout_.output_adjoint),
                            .partials = floats(layout_.chunk_partials)},
                           device_);
    }
  }

  void take_step(int t, const KeptStep* kept) {
    replay_.step(
        {.n = n_, .gradient = gradient(t), .state = scratch_ + layout_.state, .kept = kept});
  }

  /// grad[t] of the block, [n_].
  const float* gradient(int t) const { return args_.trace + t * trace_stride(args_) + first_; }
  int first_step(int segment) const { return segment * args_.segment_length; }
  int steps(int segment) const {
    return std::min(args_.segment_length, args_.unroll_length - first_step(segment));
  }
  std::int64_t tile_bytes() const { return state_tile_bytes(args_.cell, replay_.precision); }
  float* floats(std::size_t offset) const { return reinterpret_cast<float*>(scratch_ + offset); }
  std::byte* checkpoint(int segment) const {
    return scratch_ + layout_.checkpoints +
           static_cast<std::size_t>(segment - 1) * layout_.block_state_bytes;
  }
  /// h and c before step k of the segment.
  float* kept_state(int k) const {
    return floats(layout_.kept_states +
                  static_cast<std::size_t>(k) * layout_.state_rows * layout_.row_bytes);
  }
  KeptStep kept_step(int k) const {
    float* inputs = floats(layout_.kept_steps + static_cast<std::size_t>(k) * layout_.step_bytes);
    const std::int64_t columns = layout_.plan.coordinates;
    const LstmConfig& lstm = args_.cell.lstm;
    const bool modulated = lstm.output == Output::kModulated;
    return {.columns = columns,
            .inputs = inputs,
            .direction = modulated ? inputs + (step_rows(lstm) - 1) * columns : nullptr,
            .gates = inputs + lstm.inputs() * columns,
            .state = kept_state(k + 1)};
  }

  void copy_state(std::byte* destination, const std::byte* source) const {
    check(cudaMemcpyAsync(destination, source, block_bytes_, cudaMemcpyDeviceToDevice,
                          device_.stream),
          "copying a state");
  }
  void fill_zero(std::size_t offset, std::size_t bytes) const {
    check(cudaMemsetAsync(scratch_ + offset, 0, bytes, device_.stream), "filling scratch");
  }

  const UnrollBackwardArgs& args_;
  const LstmReplay& replay_;
  const Device& device_;
  const ScratchLayout layout_;
  const UnrollFactors factors_;
  std::byte* const scratch_;
  // The current block.
  std::int64_t first_ = 0, n_ = 0;
  std::size_t block_bytes_ = 0;  // size of its state
};

}  // namespace

void segmented_unroll_backward(const UnrollBackwardArgs& args, const LstmReplay& replay,
                               const Device& device) {
  SegmentedUnroll(args, replay, device).run();
}

std::size_t segmented_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args,
                                                    Precision precision) {
  return ScratchLayout(args, precision).size;
}

ReplayBytes segmented_replay_bytes(const CellConfig& cell, Precision precision) {
  const auto rows = static_cast<std::size_t>(step_rows(cell.lstm) + lstm_state_size(cell.lstm));
  return {.per_step = sizeof(float) * rows * kReplayCoordinates,
          .per_checkpoint = static_cast<std::size_t>(state_tile_bytes(cell, precision)) *
                            (kReplayCoordinates / kTile)};
}

}  // namespace l2o::cuda
