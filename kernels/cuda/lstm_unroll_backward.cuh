// The unroll backward on tensor cores: kernel, scratch and launcher.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_unroll.cuh"
#include "kernels/cuda/reduce_partials.h"

namespace l2o::cuda {

template <class Geometry, Precision precision>
__global__ void __launch_bounds__(LstmUnroll<Geometry, precision>::kThreads, 1)
    lstm_unroll_backward_kernel(const LstmUnrollParameters parameters) {
  LstmUnroll<Geometry, precision>(parameters).run();
}

/// How an unroll backward is divided, and the content of its scratch: the checkpoints of the blocks
/// that run concurrently, then the partial gradients.
template <class Geometry, Precision precision>
struct LstmUnrollPlan {
  using Unroll = LstmUnroll<Geometry, precision>;
  /// Enough for several chunks per block, so that the last round, in which some blocks are idle, is
  /// short compared to the rest. Scratch holds one partial gradient per chunk.
  static constexpr std::int64_t kMaxChunks = 2048;

  LstmUnrollPlan(const UnrollBackwardArgs& args, const Device& device)
      : tiles(ceil_div(args.n, Unroll::kTileCoordinates)),
        chunk_tiles(ceil_div(tiles, kMaxChunks)),
        chunks(tiles == 0 ? 0 : ceil_div(tiles, chunk_tiles)),
        blocks(std::min<std::int64_t>(chunks, device.multiprocessors)),
        checkpoint_words(blocks * Unroll::checkpoint_words(args.unroll_length)),
        scratch_bytes(4 *
                      static_cast<std::size_t>(checkpoint_words + chunks * Geometry::kMetaSize)) {}

  std::int64_t tiles, chunk_tiles, chunks, blocks, checkpoint_words;
  std::size_t scratch_bytes;
};

template <class Geometry, Precision precision>
void lstm_unroll_backward(const UnrollBackwardArgs& args, const Device& device) {
  using Unroll = LstmUnroll<Geometry, precision>;
  // The kernel counts the words of a block's checkpoints in 32 bits: 174,763 steps at least.
  const bool is_too_long =
      Unroll::checkpoint_words(args.unroll_length) > std::numeric_limits<std::int32_t>::max();
  check(is_too_long ? cudaErrorInvalidValue : cudaSuccess, "too many steps in an unroll");
  const LstmUnrollPlan<Geometry, precision> plan(args, device);
  auto* const checkpoints = static_cast<std::uint32_t*>(args.scratch);
  auto* const partials = reinterpret_cast<float*>(checkpoints + plan.checkpoint_words);
  launch("lstm_unroll_backward_kernel", lstm_unroll_backward_kernel<Geometry, precision>, device,
         {.blocks = plan.blocks, .threads = Unroll::kThreads, .shared_bytes = Unroll::kSharedBytes},
         {.packed = static_cast<const std::uint32_t*>(args.packed),
          .trace = args.trace,
          .trace_stride = trace_stride(args),
          .factors = UnrollFactors(args),
          .start_state = static_cast<const std::byte*>(args.start_state),
          .checkpoints = checkpoints,
          .partials = partials,
          .n = args.n,
          .unroll_length = args.unroll_length,
          .tiles = static_cast<int>(plan.tiles),
          .chunk_tiles = static_cast<int>(plan.chunk_tiles),
          .chunks = static_cast<int>(plan.chunks),
          .inputs = log_and_sign_constants(args.cell.lstm),
          .output_scale = args.cell.lstm.output_scale});
  reduce_partials({.count = plan.chunks,
                   .size = Geometry::kMetaSize,
                   .partials = partials,
                   .sums = args.meta_gradient},
                  device);
}

}  // namespace l2o::cuda
