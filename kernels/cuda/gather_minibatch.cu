// Rows drawn from a data set, converted to float: a warp copies a row.
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"
#include "kernels/math/philox.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;

/// out[i] = scale * in[i], four values a lane; both pointers aligned for it. Loads are issued ahead
/// of the stores, which would make them wait.
L2O_DEVICE void copy_row_by_vectors(const std::uint8_t* in, int size, float scale, float* out) {
  constexpr int kAtOnce = 4;
  const int words = size / 4;
  for (int first = thread_index() % kWarp; first < words; first += kAtOnce * kWarp) {
    std::uint32_t bytes[kAtOnce] = {};
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int word = first + k * kWarp;
      if (word < words) bytes[k] = load_vector<std::uint32_t>(in + 4 * word);
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int word = first + k * kWarp;
      const auto value = [&](int byte) {
        return static_cast<float>(bytes[k] >> (8 * byte) & 0xFFU) * scale;
      };
      if (word < words) {
        store_vector(out + 4 * word, float4{value(0), value(1), value(2), value(3)});
      }
    }
  }
}

/// whole_vectors: all rows are whole groups of four values, aligned in and out.
__global__ void __launch_bounds__(kThreads)
    gather_minibatch_kernel(GatherMinibatchArgs args, bool whole_vectors) {
  const int lane = thread_index() % kWarp;
  const std::int64_t step = std::int64_t{block_count()} * kWarps;
  for (std::int64_t at = std::int64_t{block_index()} * kWarps + thread_index() / kWarp;
       at < std::int64_t{args.batch} * args.rows; at += step) {
    RandomKey key = *args.key;
    key.task += static_cast<std::uint32_t>(at / args.rows);
    key.step += args.step;
    const auto row = static_cast<std::uint64_t>(at % args.rows);
    const std::int64_t source = index_from_bits(random_bits(key, row), args.count);
    const std::uint8_t* in = args.inputs + source * args.row_size;
    float* out = args.minibatch + at * args.row_size;
    if (whole_vectors) {
      copy_row_by_vectors(in, args.row_size, args.scale, out);
    } else {
      for (std::int64_t i = lane; i < args.row_size; i += kWarp) {
        out[i] = static_cast<float>(in[i]) * args.scale;
      }
    }
    if (lane == 0) args.minibatch_labels[at] = args.labels[source];
  }
}

}  // namespace

void gather_minibatch(const GatherMinibatchArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.count == 0) return;
  const bool whole_vectors = args.row_size % 4 == 0 && is_aligned<std::uint32_t>(args.inputs) &&
                             is_aligned<float4>(args.minibatch);
  const std::int64_t blocks =
      blocks_for(std::int64_t{args.batch} * args.rows, kWarps, device.resident_blocks(kThreads));
  launch("gather_minibatch", gather_minibatch_kernel, device, {blocks, kThreads}, args,
         whole_vectors);
}

}  // namespace l2o::cuda
