#include <gtest/gtest.h>

#include <filesystem>

#include "host/data/data_set.h"
#include "tests/support/error_of.h"
#include "tests/support/small_mnist.h"

namespace l2o {
namespace {

TEST(Mnist, LoadsBothSplits) {
  const SmallMnist files;
  const DataSet train = *load_mnist(files.path(), Split::kTrain);
  EXPECT_EQ(train.rows, SmallMnist::kRows);
  EXPECT_EQ(train.row_size, SmallMnist::kRowSize);
  EXPECT_EQ(train.classes, SmallMnist::kClasses);
  EXPECT_EQ(train.inputs, files.train_inputs);
  EXPECT_EQ(train.labels, files.train_labels);
  const DataSet test = *load_mnist(files.path(), Split::kTest);
  EXPECT_EQ(test.inputs, files.test_inputs);
  EXPECT_EQ(test.labels, files.test_labels);
}

TEST(Mnist, IsReadOnceWhileItIsInUse) {
  const SmallMnist files;
  const auto train = load_mnist(files.path(), Split::kTrain);
  EXPECT_EQ(load_mnist(files.path(), Split::kTrain), train);
  EXPECT_NE(load_mnist(files.path(), Split::kTest), train);
  const SmallMnist others;
  EXPECT_NE(load_mnist(others.path(), Split::kTrain), train);
}

TEST(Mnist, IsFoundInAFolderOfTheDataDirectory) {
  const SmallMnist files;
  const TemporaryDirectory data;
  std::filesystem::copy(files.path(), data.path() + "/mnist");
  EXPECT_EQ(load_mnist(data.path(), Split::kTrain)->inputs, files.train_inputs);
}

TEST(Mnist, MissingFilesAreNamedWithTheirSource) {
  const TemporaryDirectory empty;
  for (const std::string& directory : {empty.path(), std::string()}) {
    const ThrownError error = error_of([&] { load_mnist(directory, Split::kTrain); });
    EXPECT_EQ(error.status, Status::kInputOutput);
    for (const char* part : {"train-images-idx3-ubyte[.gz]", "train-labels-idx1-ubyte[.gz]",
                             "--data DIR", "L2O_DATA_DIR", "https://"}) {
      EXPECT_TRUE(error.says(part)) << part << " in: " << error.message;
    }
    if (!directory.empty()) {
      EXPECT_TRUE(error.says(directory + "/mnist")) << error.message;
    }
  }
  const SmallMnist files;
  std::filesystem::remove(files.path() + "/t10k-labels-idx1-ubyte");
  const ThrownError error = error_of([&] { load_mnist(files.path(), Split::kTest); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("t10k-labels-idx1-ubyte[.gz] is missing")) << error.message;
}

TEST(Mnist, FilesThatDoNotBelongTogetherAreRefused) {
  const TemporaryDirectory data;
  data.write("train-images-idx3-ubyte", idx_bytes({3, 1, 2}, {1, 2, 3, 4, 5, 6}));
  data.write("train-labels-idx1-ubyte", idx_bytes({2}, {0, 1}));
  EXPECT_EQ(error_of([&] { load_mnist(data.path(), Split::kTrain); }).status, Status::kBadData);

  data.write("train-labels-idx1-ubyte", idx_bytes({3}, {0, 10, 9}));
  const ThrownError error = error_of([&] { load_mnist(data.path(), Split::kTrain); });
  EXPECT_EQ(error.status, Status::kBadData);
  EXPECT_TRUE(error.says("label 10 of row 1")) << error.message;

  data.write("train-labels-idx1-ubyte", idx_bytes({3}, {0, 1, 9}));
  EXPECT_EQ(load_mnist(data.path(), Split::kTrain)->rows, 3);
}

}  // namespace
}  // namespace l2o
