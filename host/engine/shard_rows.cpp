#include "host/engine/shard_rows.h"

#include <csignal>

namespace l2o {
namespace {

// Votes, stored at the end of a row: how many ranks reported each event.
constexpr std::size_t kInterrupts = 0, kTerminations = 1, kAborts = 2, kVotes = 3;

}  // namespace

ShardRows::ShardRows(const Shards& shards, const Sizes& sizes)
    : shards_(shards),
      sizes_(sizes),
      width_(sizes.gradient + sizes.losses + sizes.members + kVotes),
      rows_(shards.local * width_, 0.0) {}

std::span<double> ShardRows::losses(std::size_t shard) {
  return part(shard, sizes_.gradient, sizes_.losses);
}

std::span<double> ShardRows::not_finite(std::size_t shard) {
  return part(shard, sizes_.gradient + sizes_.losses, sizes_.members);
}

void ShardRows::vote(int stop_signal, bool aborted) {
  const std::span<double> votes = part(0, width_ - kVotes, kVotes);
  votes[kInterrupts] = stop_signal == SIGINT ? 1.0 : 0.0;
  votes[kTerminations] = stop_signal != SIGINT && stop_signal != 0 ? 1.0 : 0.0;
  votes[kAborts] = aborted ? 1.0 : 0.0;
}

void ShardRows::add_up(Communicator& ranks) { rows_ = ordered_sum(ranks, rows_, shards_.local); }

std::vector<float> ShardRows::mean_gradient() {
  std::vector<float> mean;
  for (const double sum : gradient(0)) {
    mean.push_back(static_cast<float>(sum / static_cast<double>(shards_.count)));
  }
  return mean;
}

int ShardRows::stop_signal() const {
  if (votes()[kInterrupts] > 0.0) return SIGINT;
  return votes()[kTerminations] > 0.0 ? SIGTERM : 0;
}

bool ShardRows::any_aborted() const { return votes()[kAborts] > 0.0; }

std::span<double> ShardRows::part(std::size_t shard, std::size_t first, std::size_t count) {
  return std::span(rows_).subspan(shard * width_ + first, count);
}

std::span<const double> ShardRows::votes() const {
  return std::span(rows_).subspan(width_ - kVotes, kVotes);
}

}  // namespace l2o
