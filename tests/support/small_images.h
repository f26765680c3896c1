// Small image data sets under the names of the real ones, for tests that must run on any of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/math/philox.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/small_mnist.h"

namespace l2o::test {

inline std::vector<std::uint8_t> random_bytes(std::uint32_t stream, std::size_t count, int below) {
  const RandomKey key{.seed = 6, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  std::vector<std::uint8_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<std::uint8_t>(random_bits(key, i) % static_cast<std::uint32_t>(below));
  }
  return bytes;
}

/// Writes MNIST with 16 x 16 pixels, both splits; CIFAR-10 with 20 records per file; and
/// mine.safetensors with inputs [40, 12] and targets [40, 2].
inline void write_small_images(const TemporaryDirectory& directory) {
  constexpr std::uint32_t kRows = 40, kSide = 16;
  for (const char* split : {"train", "t10k"}) {
    const std::string name = split;
    directory.write(name + "-images-idx3-ubyte",
                    idx_bytes({kRows, kSide, kSide}, random_bytes(1, kRows * kSide * kSide, 256)));
    directory.write(name + "-labels-idx1-ubyte", idx_bytes({kRows}, random_bytes(2, kRows, 10)));
  }
  constexpr std::size_t kRecord = 1 + 3 * 32 * 32;
  for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"}) {
    std::vector<std::uint8_t> records = random_bytes(3, 20 * kRecord, 256);
    for (std::size_t record = 0; record < 20; ++record) {
      records[record * kRecord] = static_cast<std::uint8_t>(record % 10);
    }
    directory.write(name, records);
  }
  std::vector<float> inputs, targets;
  for (const std::uint8_t byte : random_bytes(4, 40 * 12, 256)) inputs.push_back(float(byte) / 64);
  for (const std::uint8_t byte : random_bytes(5, 40 * 2, 256)) targets.push_back(float(byte) / 99);
  SafetensorsBuilder mine;
  mine.add("inputs", {40, 12}, inputs);
  mine.add("targets", {40, 2}, targets);
  directory.write("mine.safetensors", mine.bytes());
}

}  // namespace l2o::test
