#include "host/comm/shards.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/core/error.h"

namespace l2o {

Shards Shards::of_rank(std::size_t count, const Communicator& ranks) {
  const auto size = static_cast<std::size_t>(ranks.size());
  if (count % size != 0) {
    std::vector<std::size_t> divisors;
    for (std::size_t d = 1; d <= count; ++d) {
      if (count % d == 0) divisors.push_back(d);
    }
    throw Error(Status::kUsage,
                fmt::format("{} ranks cannot share train.shards = {} equally; expected one of {}",
                            size, count, fmt::join(divisors, ", ")));
  }
  const std::size_t local = count / size;
  return {.count = count, .first = static_cast<std::size_t>(ranks.rank()) * local, .local = local};
}

std::vector<double> ordered_sum(Communicator& ranks, std::span<const double> rows,
                                std::size_t local) {
  const std::size_t n = rows.size() / local, size = static_cast<std::size_t>(ranks.size());
  const std::size_t slice = (n + size - 1) / size;
  // [ranks][local][slice], the last slice padded.
  std::vector<double> sent(size * local * slice, 0.0), received(sent.size());
  for (std::size_t rank = 0; rank < size; ++rank) {
    const std::size_t first = std::min(rank * slice, n), end = std::min(first + slice, n);
    for (std::size_t shard = 0; shard < local; ++shard) {
      std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(shard * n + first), end - first,
                  sent.begin() + static_cast<std::ptrdiff_t>((rank * local + shard) * slice));
    }
  }
  ranks.all_to_all(sent, received);

  // Ranks hold their shards in order, so the rows arrive in the order of the shard numbers.
  std::vector<double> sum(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(slice));
  for (std::size_t shard = 1; shard < size * local; ++shard) {
    for (std::size_t i = 0; i < slice; ++i) sum[i] += received[shard * slice + i];
  }
  std::vector<double> sums(size * slice);
  ranks.all_gather(sum, sums);
  sums.resize(n);
  return sums;
}

}  // namespace l2o
