// Labelled data sets, in host memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace l2o {

struct DataSet {
  std::int64_t rows = 0;
  int row_size = 0;                  ///< values of a row
  int classes = 0;                   ///< labels are 0 .. classes - 1
  std::vector<std::uint8_t> inputs;  ///< [rows, row_size]
  std::vector<std::uint8_t> labels;  ///< [rows]
};

enum class Split : int { kTrain, kTest };

/// MNIST, or any set in its four files: images and labels as IDX, each plain or .gz, in
/// `data_dir` or its folder mnist. Files are read once as long as somebody keeps the set. Throws
/// kInputOutput where a file is missing, saying which are wanted and where they can be got,
/// kBadData where one is damaged or they do not belong together.
std::shared_ptr<const DataSet> load_mnist(const std::string& data_dir, Split split);

}  // namespace l2o
