#include "host/engine/training_checkpoint.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tests/support/error_of.h"

namespace l2o {
namespace {

/// A checkpoint in which every field has a distinct value.
TrainingCheckpoint example() {
  TrainingCheckpoint checkpoint;
  checkpoint.config_hash = 0x0123456789ABCDEF;
  checkpoint.metrics_bytes = 11;
  TrainingPosition& at = checkpoint.position;
  at.episode = 12;
  at.unroll = 13;
  at.unrolls_done = 14;
  at.skipped_updates = 15;
  at.skipped_in_row = 16;
  at.sums = {17.5, 18.5, 19.5, 20.5, 21, 22, {28.5, 29.5}, {30, 31}, {32, 33}};
  at.member_episodes = {34, 35};
  at.member_unrolls = {36, 37};
  at.member_losses = {38.5, 39.5};
  at.best_validation = 23.5;
  at.best_episode = 24;
  at.evaluated_episode = 25;
  at.initial_validation = 40.5;
  checkpoint.meta_parameters = {1.0F, -0.0F, 3.0F};
  checkpoint.best_meta_parameters = {4.0F, 5.0F, 6.0F};
  checkpoint.meta_optimizer = {{7.0F, 8.0F, 9.0F}, {10.0F, 11.0F, 12.0F}, 25};
  checkpoint.data_hash = 0xFEDCBA9876543210;
  checkpoint.scales = {26.5, 27.5};
  checkpoint.carried = {{13.0F, 14.0F}, {15.0F, 16.0F, 17.0F, 18.0F}};
  return checkpoint;
}

void put_checksum(std::vector<std::byte>& bytes) {
  const std::uint64_t checksum = XXH64(bytes.data(), bytes.size() - 8, 0);
  std::memcpy(bytes.data() + bytes.size() - 8, &checksum, 8);
}

TEST(TrainingCheckpoint, RoundTrips) {
  const std::vector<std::byte> bytes = serialize(example());
  const TrainingCheckpoint back = parse_training_checkpoint(bytes, "file");
  EXPECT_EQ(serialize(back), bytes);
  EXPECT_EQ(back.config_hash, 0x0123456789ABCDEF);
  EXPECT_EQ(back.metrics_bytes, 11U);
  EXPECT_EQ(back.position.episode, 12);
  EXPECT_EQ(back.position.unroll, 13);
  EXPECT_EQ(back.position.unrolls_done, 14);
  EXPECT_EQ(back.position.skipped_updates, 15);
  EXPECT_EQ(back.position.skipped_in_row, 16);
  EXPECT_EQ(back.position.sums.weighted_loss, 17.5);
  EXPECT_EQ(back.position.sums.weight, 18.5);
  EXPECT_EQ(back.position.sums.final_loss, 19.5);
  EXPECT_EQ(back.position.sums.gradient_norm, 20.5);
  EXPECT_EQ(back.position.sums.applied, 21);
  EXPECT_EQ(back.position.sums.skipped, 22);
  EXPECT_EQ(back.position.sums.member_norms, example().position.sums.member_norms);
  EXPECT_EQ(back.position.sums.member_updates, example().position.sums.member_updates);
  EXPECT_EQ(back.position.sums.member_failures, example().position.sums.member_failures);
  EXPECT_EQ(back.position.member_episodes, example().position.member_episodes);
  EXPECT_EQ(back.position.member_unrolls, example().position.member_unrolls);
  EXPECT_EQ(back.position.member_losses, example().position.member_losses);
  EXPECT_EQ(back.position.best_validation, 23.5);
  EXPECT_EQ(back.position.best_episode, 24);
  EXPECT_EQ(back.position.evaluated_episode, 25);
  EXPECT_EQ(back.position.initial_validation, 40.5);
  EXPECT_EQ(back.data_hash, 0xFEDCBA9876543210);
  EXPECT_EQ(back.scales, example().scales);
  EXPECT_EQ(back.meta_parameters, example().meta_parameters);
  EXPECT_EQ(back.best_meta_parameters, example().best_meta_parameters);
  EXPECT_EQ(back.meta_optimizer.first_moment, example().meta_optimizer.first_moment);
  EXPECT_EQ(back.meta_optimizer.second_moment, example().meta_optimizer.second_moment);
  EXPECT_EQ(back.meta_optimizer.updates, 25);
  EXPECT_EQ(back.carried.theta, example().carried.theta);
  EXPECT_EQ(back.carried.state, example().carried.state);
}

TEST(TrainingCheckpoint, IsRejectedAtEveryTruncation) {
  const std::vector<std::byte> bytes = serialize(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    expect_error(Status::kBadData, {"the-file"},
                 [&] { parse_training_checkpoint(std::span(bytes).first(size), "the-file"); });
  }
}

TEST(TrainingCheckpoint, IsRejectedWithAnyBitFlipped) {
  std::vector<std::byte> bytes = serialize(example());
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
    bytes[bit / 8] ^= mask;
    expect_error(Status::kBadData, {"the-file"},
                 [&] { parse_training_checkpoint(bytes, "the-file"); });
    bytes[bit / 8] ^= mask;
  }
}

TEST(TrainingCheckpoint, IsNotTrustedDespiteValidChecksum) {
  // Forged array lengths must not be trusted.
  const std::vector<std::byte> bytes = serialize(example());
  for (std::size_t at = 12; at + 16 <= bytes.size(); ++at) {
    for (const std::uint64_t size :
         {std::uint64_t{1} << 62, std::uint64_t{1} << 40, std::uint64_t{4}}) {
      std::vector<std::byte> forged = bytes;
      std::memcpy(forged.data() + at, &size, sizeof(size));
      put_checksum(forged);
      try {
        const TrainingCheckpoint parsed = parse_training_checkpoint(forged, "forged");
        EXPECT_EQ(serialize(parsed), forged);  // a field's value was changed, nothing else
      } catch (const Error& error) {
        EXPECT_EQ(error.status(), Status::kBadData);
      }
    }
  }
}

TEST(TrainingCheckpoint, ErrorsNameTheCause) {
  std::vector<std::byte> bytes = serialize(example());
  std::vector<std::byte> other = bytes;
  other[0] = std::byte{'X'};
  expect_error(Status::kBadData, {"not a training checkpoint"},
               [&] { parse_training_checkpoint(other, "file"); });
  std::vector<std::byte> newer = bytes;
  newer[8] = std::byte{5};
  put_checksum(newer);
  expect_error(Status::kBadData, {"format version 5", "expected 4"},
               [&] { parse_training_checkpoint(newer, "file"); });
  std::vector<std::byte> longer = bytes;
  longer.insert(longer.end(), 8, std::byte{0});
  put_checksum(longer);
  expect_error(Status::kBadData, {"after its last field"},
               [&] { parse_training_checkpoint(longer, "file"); });
}

}  // namespace
}  // namespace l2o
