// Random numbers for the scheduler: cheap, and for the same seed the same everywhere.
#pragma once

#include <bit>
#include <cstdint>

namespace l2o::emulation {

class RandomOrder {
 public:
  explicit RandomOrder(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15U + 1) {}

  /// 0 <= below(n) < n, for n up to 2^31.
  std::uint32_t below(std::uint32_t n) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX
    return static_cast<std::uint32_t>((state_ >> 33) * n >> 31);
  }
  /// The index of a random set bit of a mask other than 0.
  int bit_of(std::uint32_t mask) {
    const auto start = static_cast<int>(below(32));
    return (std::countr_zero(std::rotr(mask, start)) + start) % 32;
  }

 private:
  std::uint64_t state_;
};

}  // namespace l2o::emulation
