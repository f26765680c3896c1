// Rows drawn from a data set, converted to float and scaled: a warp copies a row.
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"
#include "kernels/math/philox.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpSize;

/// value * scale + shift, with the channel of value i of a row.
class Scaling {
 public:
  L2O_DEVICE explicit Scaling(const GatherMinibatchArgs& args)
      : args_(args), single_channel_scale_(args.scale[0]), single_channel_shift_(args.shift[0]) {}

  L2O_DEVICE float operator()(float value, int i) const {
    if (args_.channels == 1) return value * single_channel_scale_ + single_channel_shift_;
    const int channel = i % args_.channels;
    return value * args_.scale[channel] + args_.shift[channel];
  }

 private:
  const GatherMinibatchArgs& args_;
  // In registers: for the compiler, stores might change memory.
  float single_channel_scale_, single_channel_shift_;
};

/// Four adjacent values of a row, as loaded.
template <class Value>
struct Quad;
template <>
struct Quad<std::uint8_t> {
  using Vector = std::uint32_t;
  L2O_DEVICE static float value(std::uint32_t bytes, int k) {
    return static_cast<float>(bytes >> (8 * k) & 0xFFU);
  }
};
template <>
struct Quad<float> {
  using Vector = float4;
  L2O_DEVICE static float value(const float4& values, int k) {
    return k == 0 ? values.x : k == 1 ? values.y : k == 2 ? values.z : values.w;
  }
};

/// Copies a row as vectors of four values; both pointers are aligned for it. Loads are issued ahead
/// of the stores, which would delay them.
template <class Value>
L2O_DEVICE void copy_row_vectorized(const Value* in, int size, const Scaling& scaled, float* out) {
  using Vector = typename Quad<Value>::Vector;
  constexpr int kLoadsInFlight = 4;
  const int vectors = size / 4;
  for (int first = thread_index() % kWarpSize; first < vectors;
       first += kLoadsInFlight * kWarpSize) {
    Vector loaded[kLoadsInFlight] = {};
#pragma unroll
    for (int k = 0; k < kLoadsInFlight; ++k) {
      const int vector = first + k * kWarpSize;
      if (vector < vectors) loaded[k] = load_vector<Vector>(in + 4 * vector);
    }
#pragma unroll
    for (int k = 0; k < kLoadsInFlight; ++k) {
      const int i = 4 * (first + k * kWarpSize);
      const auto value = [&](int j) { return scaled(Quad<Value>::value(loaded[k], j), i + j); };
      if (i < size) store_vector(out + i, float4{value(0), value(1), value(2), value(3)});
    }
  }
}

template <class Value>
L2O_DEVICE void copy_row(const Value* in, int size, const Scaling& scaled, bool whole_vectors,
                         float* out) {
  if (whole_vectors) {
    copy_row_vectorized(in, size, scaled, out);
    return;
  }
  for (int i = thread_index() % kWarpSize; i < size; i += kWarpSize) {
    out[i] = scaled(static_cast<float>(in[i]), i);
  }
}

/// whole_vectors: all rows consist of whole groups of four values, aligned in input and output.
__global__ void __launch_bounds__(kThreads)
    gather_minibatch_kernel(GatherMinibatchArgs args, bool whole_vectors) {
  const int lane = thread_index() % kWarpSize;
  const Scaling scaled(args);
  const std::int64_t step = std::int64_t{block_count()} * kWarps;
  for (std::int64_t at = std::int64_t{block_index()} * kWarps + thread_index() / kWarpSize;
       at < std::int64_t{args.batch} * args.rows; at += step) {
    RandomKey key = *args.key;
    key.task += static_cast<std::uint32_t>(at / args.rows);
    key.step += args.step;
    const auto row = static_cast<std::uint64_t>(at % args.rows);
    const std::int64_t source = index_from_bits(random_bits(key, row), args.count);
    const std::int64_t offset = source * args.row_size;
    float* out = args.minibatch + at * args.row_size;
    if (args.bytes != nullptr) {
      copy_row(args.bytes + offset, args.row_size, scaled, whole_vectors, out);
    } else {
      copy_row(args.values + offset, args.row_size, scaled, whole_vectors, out);
    }
    if (args.labels != nullptr && lane == 0) args.minibatch_labels[at] = args.labels[source];
    if (args.targets != nullptr) {
      for (std::int64_t i = lane; i < args.target_size; i += kWarpSize) {
        args.minibatch_targets[at * args.target_size + i] =
            args.targets[source * args.target_size + i];
      }
    }
  }
}

}  // namespace

void gather_minibatch(const GatherMinibatchArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.count == 0) return;
  const bool aligned_source = args.bytes != nullptr ? is_aligned<std::uint32_t>(args.bytes)
                                                    : is_aligned<float4>(args.values);
  const bool whole_vectors =
      args.row_size % 4 == 0 && aligned_source && is_aligned<float4>(args.minibatch);
  const std::int64_t blocks =
      blocks_for(std::int64_t{args.batch} * args.rows, kWarps, device.resident_blocks(kThreads));
  launch("gather_minibatch", gather_minibatch_kernel, device, {blocks, kThreads}, args,
         whole_vectors);
}

}  // namespace l2o::cuda
