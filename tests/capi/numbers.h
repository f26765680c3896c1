// Random numbers of the tests: the same on every machine.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace l2o::test {

/// SplitMix64 (Steele, Lea, Flood 2014).
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  /// In [0, bound).
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }
  /// In [low, high).
  float uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(next() >> 40) * 0x1p-24F;
  }
  std::vector<float> uniform(std::size_t count, float low, float high) {
    std::vector<float> values(count);
    for (float& value : values) value = uniform(low, high);
    return values;
  }
  /// Gradients of every magnitude that log_and_sign distinguishes, some of them 0.
  std::vector<float> gradients(std::size_t count) {
    std::vector<float> values(count);
    for (float& value : values) {
      value = below(16) == 0 ? 0.0F : uniform(-2.0F, 2.0F) * std::exp(uniform(-14.0F, 0.0F));
    }
    return values;
  }

 private:
  std::uint64_t state_;
};

}  // namespace l2o::test
