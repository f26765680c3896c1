// What the ranks tell each other after an unroll: a row of numbers for every shard, whose sums over
// all shards every rank then has.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "host/comm/shards.h"

namespace l2o {

class ShardRows {
 public:
  /// Of a row: numbers of its meta-gradients, its losses, and members.
  struct Sizes {
    std::size_t gradient, losses, members;
  };

  ShardRows(const Shards& shards, const Sizes& sizes);

  // What shard number `shard` of this rank has.
  std::span<double> gradient(std::size_t shard) { return part(shard, 0, sizes_.gradient); }
  std::span<double> losses(std::size_t shard);      ///< sums over tasks
  std::span<double> not_finite(std::size_t shard);  ///< how many losses are not, by member

  // What this rank has come upon: a signal, 0 where none; and whether it left the unroll for it, so
  // that its rows are void.
  void vote(int stop_signal, bool left);

  /// Makes the sums; collective. The spans of shard 0 are then the sums.
  void add_up(Communicator& ranks);
  /// The signal that any rank came upon; 0: none. SIGINT before SIGTERM.
  int stop_signal() const;
  /// Whether any rank left the unroll.
  bool is_left() const;

 private:
  std::span<double> part(std::size_t shard, std::size_t first, std::size_t count);
  std::span<const double> votes() const;

  Shards shards_;
  Sizes sizes_;
  std::size_t width_;
  std::vector<double> rows_;  // [local, width]; after add_up() [width]
};

}  // namespace l2o
