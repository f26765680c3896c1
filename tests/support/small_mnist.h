// A synthetic data set in the four files of MNIST, small enough for each test to write it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/math/philox.h"
#include "tests/support/temporary_directory.h"

namespace l2o {

/// An IDX file of unsigned bytes.
inline std::vector<std::uint8_t> idx_bytes(const std::vector<std::uint32_t>& shape,
                                           const std::vector<std::uint8_t>& values) {
  std::vector<std::uint8_t> bytes = {0, 0, 8, static_cast<std::uint8_t>(shape.size())};
  for (const std::uint32_t extent : shape) {
    for (const int shift : {24, 16, 8, 0}) {
      bytes.push_back(static_cast<std::uint8_t>(extent >> shift));
    }
  }
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

/// Writes the files to its own directory. Training set and test set are different sets of random
/// pixels and labels.
class SmallMnist {
 public:
  static constexpr int kRows = 200;
  static constexpr int kSide = 5;
  static constexpr int kRowSize = kSide * kSide;
  static constexpr int kClasses = 10;

  SmallMnist() {
    write("train", 1, train_inputs, train_labels);
    write("t10k", 2, test_inputs, test_labels);
  }

  const std::string& path() const { return directory_.path(); }

  std::vector<std::uint8_t> train_inputs, train_labels, test_inputs, test_labels;

 private:
  void write(const std::string& prefix, std::uint32_t set, std::vector<std::uint8_t>& inputs,
             std::vector<std::uint8_t>& labels) {
    const RandomKey pixels{.seed = 1, .purpose = RandomPurpose::kTest, .task = set, .step = 0};
    const RandomKey digits{.seed = 1, .purpose = RandomPurpose::kTest, .task = set, .step = 1};
    for (std::uint64_t i = 0; i < std::uint64_t{kRows} * kRowSize; ++i) {
      inputs.push_back(static_cast<std::uint8_t>(random_bits(pixels, i) % 256));
    }
    for (std::uint64_t i = 0; i < kRows; ++i) {
      labels.push_back(static_cast<std::uint8_t>(random_bits(digits, i) % kClasses));
    }
    directory_.write(prefix + "-images-idx3-ubyte", idx_bytes({kRows, kSide, kSide}, inputs));
    directory_.write(prefix + "-labels-idx1-ubyte", idx_bytes({kRows}, labels));
  }

  TemporaryDirectory directory_;
};

}  // namespace l2o
