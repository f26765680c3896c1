// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC'11). A draw is a pure function of its key and its index, so
// results do not depend on threads, on tiles or on resuming a run. Integer arithmetic and explicit
// fused multiply-adds only: the same bits on every backend.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace l2o {

/// Purpose of a stream of draws; streams with different purposes are independent.
enum class RandomPurpose : std::uint8_t {
  kMetaParameters = 1,     ///< initial phi
  kInitialParameters = 2,  ///< theta_0 of a task
  kTaskData = 3,           ///< definition of a task: matrices, targets
  kMinibatch = 4,          ///< rows of a minibatch
  kTest = 255,             ///< synthetic inputs of tests and benchmarks
};

/// Identifies one stream of draws.
struct RandomKey {
  std::uint64_t seed = 0;
  RandomPurpose purpose = RandomPurpose::kTest;
  std::uint32_t task = 0;
  std::uint32_t step = 0;
};

struct PhiloxBlock {
  std::uint32_t word[4];
};

/// Ten rounds of Philox4x32 over a 128-bit counter with a 64-bit key.
L2O_HOST_DEVICE inline PhiloxBlock philox4x32(PhiloxBlock counter, std::uint64_t key) {
  auto key0 = static_cast<std::uint32_t>(key);
  auto key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * counter.word[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * counter.word[2];
    counter = {{static_cast<std::uint32_t>(product1 >> 32) ^ counter.word[1] ^ key0,
                static_cast<std::uint32_t>(product1),
                static_cast<std::uint32_t>(product0 >> 32) ^ counter.word[3] ^ key1,
                static_cast<std::uint32_t>(product0)}};
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return counter;
}

/// Block number `block` (four words) of a stream; block < 2^56.
L2O_HOST_DEVICE inline PhiloxBlock random_block(const RandomKey& key, std::uint64_t block) {
  const auto high = static_cast<std::uint32_t>(block >> 32) << 8;
  const PhiloxBlock counter = {{static_cast<std::uint32_t>(block), key.step, key.task,
                                high | static_cast<std::uint32_t>(key.purpose)}};
  return philox4x32(counter, key.seed);
}

/// Draw number `index` of a stream, 32 random bits.
L2O_HOST_DEVICE inline std::uint32_t random_bits(const RandomKey& key, std::uint64_t index) {
  return random_block(key, index / 4).word[index % 4];
}

/// [0, 1) from 32 random bits; uses 24 of them, so that 1 is never reached.
L2O_HOST_DEVICE inline float uniform_from_bits(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24F;
}

/// floor(U count) in integers, without rounding: with the U of uniform_from_bits or, where its 24
/// bits cannot reach every index, with all 32 bits. count <= 2^32.
L2O_HOST_DEVICE inline std::int64_t index_from_bits(std::uint32_t bits, std::int64_t count) {
  const auto size = static_cast<std::uint64_t>(count);
  const std::uint64_t product =
      size <= (1U << 24) ? (bits >> 8) * size >> 24 : std::uint64_t{bits} * size >> 32;
  return static_cast<std::int64_t>(product);
}

}  // namespace l2o
