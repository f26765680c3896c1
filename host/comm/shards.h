// How a run is cut into shards, and the sums over them, which do not depend on who holds which.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "host/comm/communicator.h"

namespace l2o {

/// The shards of a run that a rank holds: `local` of them from number `first` on. Of all `count`,
/// ranks hold equally many, in the order of their numbers.
struct Shards {
  std::size_t count = 1;
  std::size_t first = 0;
  std::size_t local = 1;

  /// All of them in one process.
  static Shards all(std::size_t count) { return {.count = count, .first = 0, .local = count}; }
  /// Those of this rank. Throws kUsage where they cannot be shared out equally.
  static Shards of_rank(std::size_t count, const Communicator& ranks);
};

/// The sum of a row of numbers of every shard, at every rank: ((row[0] + row[1]) + row[2]) + ...,
/// in double, in the order of the shards' numbers. rows [local, n]. Collective.
///
/// Rank r adds up the r-th slice of all rows, so that a rank sends its rows and a sum's slice,
/// whatever the number of ranks.
std::vector<double> ordered_sum(Communicator& ranks, std::span<const double> rows,
                                std::size_t local);

}  // namespace l2o
