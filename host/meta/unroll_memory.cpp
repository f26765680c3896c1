// Computes the memory of an unroll before anything is allocated.
#include <fmt/format.h>

#include <algorithm>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "host/meta/unroll.h"

namespace l2o {

UnrollMemory Unroll::memory(const Backend& backend, const std::vector<CellConfig>& cells,
                            const std::vector<Member>& members, const Truncation& truncation,
                            std::size_t recompute_budget, const UnrollOptions& options) {
  const CoordinateSpace space(members);
  const std::int64_t slots = truncation.slots();
  constexpr std::int64_t kFloat = sizeof(float);
  UnrollMemory memory;
  memory.rest = checked_size({slots * task_count(members) + 2 * slots, kFloat});
  for (int group = 0; group < space.groups(); ++group) {
    const CellConfig& cell = cells[static_cast<std::size_t>(group)];
    const std::int64_t n = space.n(group);
    memory.trace += checked_size({slots, n, kFloat});
    memory.state += 2 * backend.state_bytes(cell, n);
    const std::int64_t tiles = tile_count(n);
    memory.rest += checked_size({2 * n + tiles, kFloat});
    if (options.logarithmic) memory.rest += checked_size({slots + 1, tiles, kFloat});
    if (options.scaled) memory.rest += checked_size({slots - 1, tiles, kFloat});
    const std::size_t rows = options.gradients(members.size());
    const std::size_t of_row = members.size() / rows;
    std::vector<std::int64_t> sizes;  // scratch of each backward pass
    for (std::size_t row = 0; row < rows; ++row) {
      sizes.push_back(space.range(group, members, row * of_row, of_row).n);
    }
    for (const int length : {truncation.longest(), truncation.length(truncation.unrolls() - 1)}) {
      for (const std::int64_t size : sizes) {
        UnrollBackwardArgs args;
        args.cell = cell;
        args.n = size;
        args.unroll_length = length;
        args.segment_length = backend.plan_segment_length(cell, length, recompute_budget);
        memory.replay = std::max(memory.replay, backend.unroll_backward_scratch_bytes(args));
      }
    }
  }
  return memory;
}

void Unroll::require_memory(const Backend& backend, const std::vector<CellConfig>& cells,
                            const std::vector<Member>& members, const Truncation& truncation,
                            std::size_t recompute_budget, const UnrollOptions& options) {
  const UnrollMemory needed =
      memory(backend, cells, members, truncation, recompute_budget, options);
  const std::size_t in_use = backend.memory_in_use(), all = backend.device().memory_bytes;
  if (all == 0 || needed.total() <= all - std::min(all, in_use)) return;
  const auto megabytes = [](std::size_t bytes) { return (bytes + 999'999) / 1'000'000; };
  throw Error(
      Status::kOutOfMemory,
      fmt::format("out of memory: meta-training needs {} MB (gradient trace {}, state {}, "
                  "replay {}) in addition to the {} MB in use, of {}; lower train.tasks ({}), "
                  "train.unroll_length ({}) or evaluation.runs",
                  megabytes(needed.total()), megabytes(needed.trace), megabytes(needed.state),
                  megabytes(needed.replay), megabytes(in_use), megabytes(all), task_count(members),
                  truncation.longest()));
}

}  // namespace l2o
