// The training files of MNIST and CIFAR-10 with made-up contents: what the benches run on when no
// data directory is named. The work does not depend on what the images show.
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
