// Rows drawn from a data set, converted to float and scaled by channel.
#include <algorithm>

#include "kernels/cpu/launchers.h"

namespace l2o::cpu {
namespace {

/// out[i] = in[i] * scale + shift, by channel.
template <class Value>
void scale_row(const GatherMinibatchArgs& args, const Value* in, float* out) {
  if (args.channels == 1) {
    const float scale = *args.scale, shift = *args.shift;
    for (int i = 0; i < args.row_size; ++i) out[i] = static_cast<float>(in[i]) * scale + shift;
    return;
  }
  for (int first = 0; first < args.row_size; first += args.channels) {
    for (int c = 0; c < args.channels; ++c) {
      out[first + c] = static_cast<float>(in[first + c]) * args.scale[c] + args.shift[c];
    }
  }
}

}  // namespace

void gather_minibatch(const GatherMinibatchArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.count == 0) return;
  constexpr std::int64_t kBlockRows = 32;
  const std::int64_t blocks = (args.rows - 1) / kBlockRows + 1;
  pool.parallel_for(args.batch * blocks, [&](std::int64_t index, int) {
    const std::int64_t task = index / blocks;
    const std::int64_t first = index % blocks * kBlockRows;
    const std::int64_t end = std::min<std::int64_t>(first + kBlockRows, args.rows);
    RandomKey key = *args.key;
    key.task += static_cast<std::uint32_t>(task);
    key.step += args.step;
    for (std::int64_t row = first; row < end; ++row) {
      const std::int64_t source =
          index_from_bits(random_bits(key, static_cast<std::uint64_t>(row)), args.count);
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
    }
  });
}

}  // namespace l2o::cpu
