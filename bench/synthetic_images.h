// The training files of MNIST and CIFAR-10 with synthetic contents, for benchmarks without a data
// directory. The work does not depend on the contents of the images.
#pragma once

#include <string>

namespace l2o {

/// A temporary directory with a training set of MNIST's size and a file of CIFAR-10; removed at the
/// end.
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
