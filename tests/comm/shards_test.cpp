// Sums over shards, and their assignment to ranks.
#include "host/comm/shards.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "host/core/error.h"
#include "tests/support/error_of.h"
#include "tests/support/thread_ranks.h"

namespace l2o {
namespace {

/// Numbers of both signs and all magnitudes, whose sum depends on the order.
double number(std::size_t shard, std::size_t i) {
  const auto mixed = static_cast<std::uint32_t>((shard + 1) * 2654435761U ^ (i + 1) * 40503U);
  const double magnitude = std::ldexp(1.0 + mixed % 1000 / 1000.0, static_cast<int>(mixed % 60));
  return mixed / 1000 % 2 == 0 ? magnitude : -magnitude;
}

TEST(OrderedSum, AddsShardsInOrderForAnyNumberOfRanks) {
  constexpr std::size_t kShards = 12;
  // Fewer numbers than ranks, as many, and more; multiples of the slice size and not.
  for (const std::size_t n : {1, 5, 12, 37, 240}) {
    std::vector<double> expected(n);
    for (std::size_t i = 0; i < n; ++i) {
      expected[i] = number(0, i);
      for (std::size_t shard = 1; shard < kShards; ++shard) expected[i] += number(shard, i);
    }
    for (const int ranks : {1, 2, 3, 4, 6, 12}) {
      SCOPED_TRACE(std::to_string(n) + " numbers, ranks: " + std::to_string(ranks));
      test::on_ranks(ranks, [&](Communicator& self) {
        const Shards shards = Shards::of_rank(kShards, self);
        std::vector<double> rows;
        for (std::size_t shard = shards.first; shard < shards.first + shards.local; ++shard) {
          for (std::size_t i = 0; i < n; ++i) rows.push_back(number(shard, i));
        }
        const std::vector<double> sum = ordered_sum(self, rows, shards.local);
        ASSERT_EQ(sum.size(), n);
        for (std::size_t i = 0; i < n; ++i) {
          EXPECT_EQ(std::bit_cast<std::uint64_t>(sum[i]),
                    std::bit_cast<std::uint64_t>(expected[i]));
        }
      });
    }
  }
}

TEST(Shards, AreHeldInOrder) {
  test::on_ranks(3, [](Communicator& self) {
    const Shards shards = Shards::of_rank(6, self);
    EXPECT_EQ(shards.count, 6U);
    EXPECT_EQ(shards.local, 2U);
    EXPECT_EQ(shards.first, 2U * static_cast<std::size_t>(self.rank()));
  });
}

TEST(Shards, ErrorListsTheNumbersOfRanksThatCanShareThem) {
  const auto thrown =
      error_of([] { test::on_ranks(5, [](Communicator& self) { Shards::of_rank(12, self); }); });
  EXPECT_EQ(thrown.status, Status::kUsage);
  EXPECT_TRUE(
      thrown.says("5 ranks cannot share train.shards = 12 equally; expected one of 1, 2, 3, 4, "
                  "6, 12"))
      << thrown.message;
}

TEST(AtRoot, AllRanksReturnOrThrowTheResultOfRankZero) {
  test::on_ranks(3, [](Communicator& self) {
    const Bytes sent = at_root(self, [&] {
      EXPECT_EQ(self.rank(), 0);
      return Bytes{std::byte{7}, std::byte{0}};
    });
    EXPECT_EQ(sent, (Bytes{std::byte{7}, std::byte{0}}));
    const auto thrown = error_of([&] {
      at_root(self, []() -> Bytes { throw Error(Status::kInputOutput, "the disk is full"); });
    });
    EXPECT_EQ(thrown.status, Status::kInputOutput);
    EXPECT_EQ(thrown.message, "the disk is full");
  });
}

TEST(GatherNumbers, ArriveAtRankZeroInRankOrder) {
  test::on_ranks(3, [](Communicator& self) {
    const auto mine = static_cast<float>(self.rank());
    const std::vector<float> all =
        gather_numbers(self, std::vector<float>(static_cast<std::size_t>(self.rank()), mine));
    EXPECT_EQ(all, self.is_root() ? (std::vector<float>{1.0F, 2.0F, 2.0F}) : std::vector<float>{});
  });
}

}  // namespace
}  // namespace l2o
