// Rows drawn from a data set, converted to float.
#include <algorithm>

#include "kernels/cpu/launchers.h"

namespace l2o::cpu {

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
      const std::uint8_t* in = args.inputs + source * args.row_size;
      float* out = args.minibatch + (task * args.rows + row) * args.row_size;
      for (int i = 0; i < args.row_size; ++i) out[i] = static_cast<float>(in[i]) * args.scale;
      args.minibatch_labels[task * args.rows + row] = args.labels[source];
    }
  });
}

}  // namespace l2o::cpu
