// Draws rows of a data set, converts them to float and scales them by channel.
#include "kernels/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gather_minibatch.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After the headers that select the target.
#include <algorithm>

#include "hwy/cache_control.h"
#include "kernels/cpu/launchers.h"
#include "kernels/cpu/simd_activations-inl.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

HWY_INLINE Vec load_floats(const float* in) { return hn::LoadU(Tag(), in); }
HWY_INLINE Vec load_floats(const std::uint8_t* in) {
  const hn::Rebind<std::uint8_t, Tag> bytes;
  return hn::ConvertTo(Tag(), hn::PromoteTo(IntTag(), hn::LoadU(bytes, in)));
}

/// out[i] = in[i] * scale + shift, by channel.
template <class Value>
void scale_row(const GatherMinibatchArgs& args, const Value* in, float* out) {
  if (args.channels == 1) {
    const float scale = *args.scale, shift = *args.shift;
    int i = 0;
    for (; i + kLanes <= args.row_size; i += kLanes) {
      const Vec scaled = hn::Mul(load_floats(in + i), broadcast(scale));
      hn::StoreU(hn::Add(scaled, broadcast(shift)), Tag(), out + i);
    }
    for (; i < args.row_size; ++i) out[i] = static_cast<float>(in[i]) * scale + shift;
    return;
  }
  for (int first = 0; first < args.row_size; first += args.channels) {
    for (int c = 0; c < args.channels; ++c) {
      out[first + c] = static_cast<float>(in[first + c]) * args.scale[c] + args.shift[c];
    }
  }
}

/// The row of the data set that is drawn for a task's row.
std::int64_t source_of(const GatherMinibatchArgs& args, std::int64_t task, std::int64_t row) {
  RandomKey key = *args.key;
  key.task += static_cast<std::uint32_t>(task);
  key.step += args.step;
  return index_from_bits(random_bits(key, static_cast<std::uint64_t>(row)), args.count);
}

/// Rows are scattered over a large data set: each is prefetched while the previous one is
/// converted.
void prefetch_row(const GatherMinibatchArgs& args, std::int64_t source) {
  const std::size_t value_bytes = args.bytes != nullptr ? 1 : sizeof(float);
  const auto* data = args.bytes != nullptr ? static_cast<const void*>(args.bytes) : args.values;
  const std::size_t row_bytes = static_cast<std::size_t>(args.row_size) * value_bytes;
  const auto* row = static_cast<const std::byte*>(data) + source * std::int64_t(row_bytes);
  constexpr std::size_t kLine = 64, kLimit = 16 * kLine;
  for (std::size_t at = 0; at < std::min(row_bytes, kLimit); at += kLine) hwy::Prefetch(row + at);
}

/// Rows [first, end) of a task.
void gather_target(const GatherMinibatchArgs& args, std::int64_t task, std::int64_t first,
                   std::int64_t end) {
  std::int64_t source = source_of(args, task, first);
  for (std::int64_t row = first; row < end; ++row) {
    const std::int64_t next = row + 1 < end ? source_of(args, task, row + 1) : source;
    prefetch_row(args, next);
    const std::int64_t at = task * args.rows + row;
    float* out = args.minibatch + at * args.row_size;
    if (args.bytes != nullptr) {
      scale_row(args, args.bytes + source * args.row_size, out);
    } else {
      scale_row(args, args.values + source * args.row_size, out);
    }
    if (args.labels != nullptr) args.minibatch_labels[at] = args.labels[source];
    if (args.targets != nullptr) {
      std::copy_n(args.targets + source * args.target_size, args.target_size,
                  args.minibatch_targets + at * args.target_size);
    }
    source = next;
  }
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace l2o::cpu {

HWY_EXPORT(gather_target);

void gather_minibatch(const GatherMinibatchArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.count == 0) return;
  constexpr std::int64_t kBlockRows = 32;
  const std::int64_t blocks = (args.rows - 1) / kBlockRows + 1;
  const auto gather = HWY_DYNAMIC_DISPATCH(gather_target);
  pool.parallel_for(args.batch * blocks, [&](std::int64_t index, int) {
    const std::int64_t first = index % blocks * kBlockRows;
    gather(args, index / blocks, first, std::min<std::int64_t>(first + kBlockRows, args.rows));
  });
}

}  // namespace l2o::cpu
#endif
