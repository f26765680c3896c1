// The data that ranks exchange after an unroll: one row of numbers per shard. Every rank gets the
// sum of the rows over all shards.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "host/comm/shards.h"

namespace l2o {

class ShardRows {
 public:
  /// Contents of a row: the number of meta-gradient values, losses and members.
  struct Sizes {
    std::size_t gradient, losses, members;
  };

  ShardRows(const Shards& shards, const Sizes& sizes);

  // The parts of the row of this rank's shard number `shard`.
  std::span<double> gradient(std::size_t shard) { return part(shard, 0, sizes_.gradient); }
  std::span<double> losses(std::size_t shard);      ///< sums over tasks
  std::span<double> not_finite(std::size_t shard);  ///< count of non-finite losses, by member

  // Records the signal that this rank has received, 0 if none, and whether it aborted the unroll,
  // in which case its rows are invalid.
  void vote(int stop_signal, bool aborted);

  /// Computes the sums, which the spans of shard 0 then hold. Collective.
  void add_up(Communicator& ranks);
  /// The mean over all shards of their meta-gradients, after add_up(): that of the meta-loss.
  std::vector<float> mean_gradient();
  /// The signal that any rank has received; 0: none. SIGINT takes precedence over SIGTERM.
  int stop_signal() const;
  /// Whether any rank aborted the unroll.
  bool any_aborted() const;

 private:
  std::span<double> part(std::size_t shard, std::size_t first, std::size_t count);
  std::span<const double> votes() const;

  Shards shards_;
  Sizes sizes_;
  std::size_t width_;
  std::vector<double> rows_;  // [local, width]; after add_up() [width]
};

}  // namespace l2o
