// Launchers of the tuned LSTM: run-time dispatch over instruction sets, threads over tiles.
// kernels/README.md explains the kernels themselves.
#include "kernels/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lstm_kernels.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After the headers that select the target.
#include "kernels/cpu/launchers.h"
#include "kernels/cpu/lstm_unroll-inl.h"
#include "kernels/math/scaled_step.h"
#include "kernels/step_factors.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

void pack_target(const PackArgs& args) {
  pack(args.cell.lstm, args.meta, static_cast<float*>(args.packed));
}

/// Tiles [first, last) of a step.
void step_target(const StepArgs& args, std::int64_t first, std::int64_t last) {
  const LstmLayout layout(args.cell.lstm);
  TilePreprocessing preprocess(args.cell.lstm);
  const StepFactors factors(args);
  const auto* packed = static_cast<const float*>(args.packed);
  HWY_ALIGN float gradient[kTile];
  HWY_ALIGN float update[kTile];
  for (std::int64_t tile = first; tile < last; ++tile) {
    const std::int64_t begin = tile * kTile;
    const auto lanes = static_cast<int>(std::min<std::int64_t>(kTile, args.n - begin));
    std::transform(args.gradient + begin, args.gradient + begin + lanes, gradient,
                   [&](float g) { return factors.gradient_scale * g; });
    std::fill(gradient + lanes, gradient + kTile, 0.0F);
    tile_step(
        args.cell.lstm, layout, preprocess, packed, gradient,
        static_cast<float*>(args.state) + static_cast<std::size_t>(tile) * layout.state_size(),
        update);
    const float scale = factors.update_scale_of(tile);
    for (int lane = 0; lane < lanes; ++lane) {
      args.theta[begin + lane] =
          scaled_step(args.theta[begin + lane], update[lane], scale, factors.weight_decay);
    }
  }
}

/// Writes the gradient of tiles [first, last) to sums [P], in the order of for_each_gradient().
void unroll_backward_target(const UnrollBackwardArgs& args, std::int64_t first, std::int64_t last,
                            float* scratch, double* sums) {
  UnrollTile unroll(args, scratch);
  std::fill_n(sums, LstmLayout(args.cell.lstm).meta_size, 0.0);
  for (std::int64_t tile = first; tile < last; ++tile) unroll.add_gradient(tile, sums);
}

/// The second stage: adds up the chunks, sums [chunk][P], in order; overwrites the first.
void finish_target(const LstmLayout& layout, double* sums, std::int64_t chunks,
                   float* meta_gradient) {
  for (std::int64_t chunk = 1; chunk < chunks; ++chunk) {
    const double* addend = sums + static_cast<std::size_t>(chunk) * layout.meta_size;
    for (std::size_t i = 0; i < layout.meta_size; ++i) sums[i] += addend[i];
  }
  for_each_gradient(layout, [&](int index, int place) {
    meta_gradient[index] = static_cast<float>(sums[place]);
  });
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace l2o::cpu {

HWY_EXPORT(pack_target);
HWY_EXPORT(step_target);
HWY_EXPORT(unroll_backward_target);
HWY_EXPORT(finish_target);

std::size_t lstm_packed_bytes(const LstmConfig& lstm) {
  return LstmLayout(lstm).packed_size * sizeof(float);
}

void lstm_pack(const PackArgs& args) { HWY_DYNAMIC_DISPATCH(pack_target)(args); }

void lstm_step(const StepArgs& args, ThreadPool& pool) {
  // About 40 us; fewer if a small step would leave threads idle.
  constexpr std::int64_t kMaxTilesPerTask = 8;
  const std::int64_t tiles = tile_count(args.n);
  const std::int64_t tiles_per_task =
      std::clamp<std::int64_t>(tiles / (2 * pool.threads()), 1, kMaxTilesPerTask);
  const auto run = HWY_DYNAMIC_DISPATCH(step_target);
  pool.parallel_for((tiles + tiles_per_task - 1) / tiles_per_task, [&](std::int64_t task, int) {
    run(args, task * tiles_per_task, std::min((task + 1) * tiles_per_task, tiles));
  });
}

ReplayBytes lstm_replay_bytes(const LstmConfig& lstm) {
  const LstmLayout layout(lstm);
  // Four steps in two segments, of at most two or three steps.
  const std::size_t two = ReplayLayout(layout, 4, 2).size, three = ReplayLayout(layout, 4, 3).size;
  return {.per_step = (three - two) * sizeof(float),
          .per_checkpoint = layout.state_size() * sizeof(float)};
}

namespace {

std::size_t worker_floats(const UnrollBackwardArgs& args) {
  return ReplayLayout(LstmLayout(args.cell.lstm), args.unroll_length, args.segment_length).size;
}

}  // namespace

std::size_t lstm_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads) {
  const std::size_t meta_size = LstmLayout(args.cell.lstm).meta_size;
  return static_cast<std::size_t>(threads) * worker_floats(args) * sizeof(float) +
         static_cast<std::size_t>(ChunkPlan(args.n, meta_size).chunks) * meta_size * sizeof(double);
}

void lstm_unroll_backward(const UnrollBackwardArgs& args, ThreadPool& pool) {
  const LstmLayout layout(args.cell.lstm);
  const ChunkPlan plan(args.n, layout.meta_size);
  const std::size_t scratch_stride = worker_floats(args);
  auto* scratch = static_cast<float*>(args.scratch);
  auto* sums = reinterpret_cast<double*>(scratch + scratch_stride * pool.threads());
  const auto run = HWY_DYNAMIC_DISPATCH(unroll_backward_target);
  pool.interruptible_for(plan.chunks, [&](std::int64_t chunk, int worker) {
    run(args, plan.first_tile(chunk), plan.first_tile(chunk + 1), scratch + scratch_stride * worker,
        sums + static_cast<std::size_t>(chunk) * layout.meta_size);
  });
  HWY_DYNAMIC_DISPATCH(finish_target)(layout, sums, plan.chunks, args.meta_gradient);
}

}  // namespace l2o::cpu
#endif
