// Division of a run into shards, and sums over them that do not depend on their placement.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "host/comm/communicator.h"

namespace l2o {

/// The shards of a run that a rank holds: `local` shards starting at number `first`. All ranks hold
/// the same number of the `count` shards, in rank order.
struct Shards {
  std::size_t count = 1;
  std::size_t first = 0;
  std::size_t local = 1;

  /// All shards in one process.
  static Shards all(std::size_t count) { return {.count = count, .first = 0, .local = count}; }
  /// The shards of this rank. Throws kUsage if they cannot be divided equally.
  static Shards of_rank(std::size_t count, const Communicator& ranks);
};

/// Returns the sum of one row per shard, on every rank: ((row[0] + row[1]) + row[2]) + ..., in
/// double, in the order of the shard numbers. rows [local, n]. Collective.
///
/// Rank r sums the r-th slice of all rows, so a rank sends its rows and one slice of the sum,
/// regardless of the number of ranks.
std::vector<double> ordered_sum(Communicator& ranks, std::span<const double> rows,
                                std::size_t local);

}  // namespace l2o
