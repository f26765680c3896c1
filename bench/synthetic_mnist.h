// MNIST's four files with made-up contents: what the benches run on when no data directory is
// named. The work does not depend on what the images show.
#pragma once

#include <string>

namespace l2o {

/// A temporary directory with the files of a training set of MNIST's size; removed at the end.
class SyntheticMnist {
 public:
  SyntheticMnist();
  ~SyntheticMnist();
  SyntheticMnist(const SyntheticMnist&) = delete;
  SyntheticMnist& operator=(const SyntheticMnist&) = delete;

  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

}  // namespace l2o
