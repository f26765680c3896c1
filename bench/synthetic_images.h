// Training files in the formats of MNIST and CIFAR-10 with synthetic contents, for benchmarks
// without a data directory. The amount of work does not depend on the contents of the images.
#pragma once

#include <string>

namespace l2o {

/// A temporary directory with a training set the size of MNIST's and one file in CIFAR-10's format;
/// removed by the destructor.
class SyntheticImages {
 public:
  SyntheticImages();
  ~SyntheticImages();
  SyntheticImages(const SyntheticImages&) = delete;
  SyntheticImages& operator=(const SyntheticImages&) = delete;

  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

}  // namespace l2o
