// The data sets of the registry, from files written by the tests.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "host/data/data_set.h"
#include "tests/support/error_of.h"
#include "tests/support/small_images.h"

namespace l2o {
namespace {

using test::random_bytes;
using test::SafetensorsBuilder;

DataOptions named(const std::string& name, const std::string& directory,
                  Split split = Split::kTrain) {
  DataOptions options;
  options.name = name;
  options.directory = directory;
  options.split = split;
  return options;
}

std::vector<std::uint8_t> idx_images(std::uint32_t rows, std::uint32_t height,
                                     std::uint32_t width) {
  return idx_bytes({rows, height, width}, random_bytes(1, std::size_t{rows} * height * width, 256));
}

TEST(IdxSet, LoadsBothSplits) {
  const SmallMnist files;
  const auto train = load_data(named("mnist", files.path()));
  EXPECT_EQ(train->rows, SmallMnist::kRows);
  EXPECT_EQ(train->height, SmallMnist::kSide);
  EXPECT_EQ(train->width, SmallMnist::kSide);
  EXPECT_EQ(train->channels, 1);
  EXPECT_EQ(train->classes, SmallMnist::kClasses);
  EXPECT_EQ(train->bytes, files.train_inputs);
  EXPECT_TRUE(std::equal(train->labels.begin(), train->labels.end(), files.train_labels.begin()));
  EXPECT_EQ(train->scale, std::vector<float>{1.0F / 255.0F});
  EXPECT_EQ(train->shift, std::vector<float>{0.0F});
  EXPECT_TRUE(has_test_split(named("mnist", files.path())));
  EXPECT_EQ(load_data(named("mnist", files.path(), Split::kTest))->bytes, files.test_inputs);
}

TEST(IdxSet, IsFoundUnderEveryKnownName) {
  const std::vector<std::pair<std::string, std::string>> places = {
      {"mnist", "mnist/train-images-idx3-ubyte"},
      {"mnist", "MNIST/raw/train-images-idx3-ubyte"},
      {"mnist", "train-images.idx3-ubyte"},  // Kaggle's
      {"fashion", "FashionMNIST/raw/train-images-idx3-ubyte"},
      {"kmnist", "kmnist/train-images-idx3-ubyte"},
      {"emnist", "EMNIST/raw/emnist-balanced-train-images-idx3-ubyte"},
      {"idx:mine", "mine-train-images-idx3-ubyte"},
  };
  for (const auto& [name, images] : places) {
    SCOPED_TRACE(images);
    const TemporaryDirectory directory;
    std::filesystem::create_directories(
        std::filesystem::path(directory.file(images)).parent_path());
    std::string labels = images;
    labels.replace(labels.find("images"), 6, "labels");
    labels.replace(labels.find("idx3"), 4, "idx1");
    directory.write(images, idx_images(6, 2, 3));
    directory.write(labels, idx_bytes({6}, {0, 1, 2, 3, 4, 5}));
    const auto set = load_data(named(name, directory.path()));
    EXPECT_EQ(set->rows, 6);
    EXPECT_FALSE(has_test_split(named(name, directory.path())));
    // EMNIST's are stored column by column.
    EXPECT_EQ(set->height, name == "emnist" ? 3 : 2);
  }
}

TEST(IdxSet, DirectoriesAndLoopingLinksAreNotItsFiles) {
  const TemporaryDirectory directory;
  std::filesystem::create_symlink("loop", directory.file("loop"));
  const ThrownError missing = error_of([&] { load_data(named("mnist", directory.path())); });
  EXPECT_EQ(missing.status, Status::kInputOutput);
  EXPECT_TRUE(missing.says("found there: loop")) << missing.message;
  // As Kaggle's archive is unpacked.
  for (const auto& [folder, file, bytes] :
       {std::tuple("train-images-idx3-ubyte", "train-images.idx3-ubyte", idx_images(2, 3, 3)),
        std::tuple("train-labels-idx1-ubyte", "train-labels.idx1-ubyte", idx_bytes({2}, {0, 1}))}) {
    std::filesystem::create_directory(directory.file(folder));
    directory.write(file, bytes);
  }
  const auto set = load_data(named("mnist", directory.path()));
  EXPECT_EQ(set->rows, 2);
  EXPECT_EQ(set->files, (std::vector<std::string>{directory.file("train-images.idx3-ubyte"),
                                                  directory.file("train-labels.idx1-ubyte")}));
}

TEST(IdxSet, CustomSetHasTheClassesOfItsTrainingLabels) {
  const TemporaryDirectory directory;
  directory.write("mine-train-images-idx3-ubyte", idx_images(3, 1, 2));
  directory.write("mine-train-labels-idx1-ubyte", idx_bytes({3}, {0, 200, 3}));
  directory.write("mine-test-images-idx3-ubyte", idx_images(2, 1, 2));
  directory.write("mine-test-labels-idx1-ubyte", idx_bytes({2}, {5, 3}));
  EXPECT_EQ(load_data(named("idx:mine", directory.path()))->classes, 201);
  EXPECT_EQ(load_data(named("idx:mine", directory.path(), Split::kTest))->classes, 201);
}

TEST(Cifar, TurnsPlanesIntoPixels) {
  const TemporaryDirectory directory;
  std::vector<std::uint8_t> records(2 * 3073);
  for (std::size_t i = 0; i < records.size(); ++i) records[i] = static_cast<std::uint8_t>(i * 7);
  records[0] = 9;
  records[3073] = 4;
  directory.write("data_batch_3.bin", records);
  const auto set = load_data(named("cifar10", directory.path()));
  EXPECT_EQ(set->rows, 2);
  EXPECT_EQ(set->channels, 3);
  EXPECT_EQ(set->labels, (std::vector<std::uint16_t>{9, 4}));
  for (const std::size_t pixel : {0U, 33U, 1023U}) {
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(set->bytes[3072 + 3 * pixel + c], records[3073 + 1 + c * 1024 + pixel]);
    }
  }
}

TEST(Cifar, HundredClassesUseTheFineLabel) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.file("cifar-100-binary"));
  std::vector<std::uint8_t> record(3074);
  record[0] = 3;
  record[1] = 77;
  directory.write("cifar-100-binary/train.bin", record);
  const auto set = load_data(named("cifar100", directory.path()));
  EXPECT_EQ(set->labels, std::vector<std::uint16_t>{77});
  EXPECT_EQ(set->classes, 100);
}

TEST(DataSets, AreReadOnceAndDistinguished) {
  const SmallMnist files;
  const auto train = load_data(named("mnist", files.path()));
  EXPECT_EQ(load_data(named("mnist", files.path())), train);
  EXPECT_NE(load_data(named("mnist", files.path(), Split::kTest)), train);
  DataOptions smaller = named("mnist", files.path());
  smaller.transform.resize = 2;
  const auto small = load_data(smaller);
  EXPECT_NE(small->fingerprint, train->fingerprint);
  const SmallMnist same;
  const auto copy = load_data(named("mnist", same.path()));
  EXPECT_NE(copy, train);
  EXPECT_EQ(copy->fingerprint, train->fingerprint) << "the same bytes elsewhere";
}

TEST(DataSets, FromArraysAreCheckedLikeFiles) {
  DataSet set;
  set.rows = 2;
  set.channels = 3;
  set.values = {1, 2, 3, 4, 5, 6};
  set.target_size = 1;
  set.targets = {0.5F, 1.5F};
  set.source = "the arrays of this test";
  EXPECT_EQ(make_data_set(set, {})->rows, 2);
  DataSet wrong = set;
  wrong.targets.push_back(1.0F);
  EXPECT_TRUE(
      error_of([&] { make_data_set(wrong, {}); }).says("the arrays of this test: 3 target values"));
  wrong = set;
  wrong.values[4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(error_of([&] { make_data_set(wrong, {}); }).says("non-finite"));
}

/// Wrong files or options, and words that the message must contain.
struct Wrong {
  std::map<std::string, std::vector<std::uint8_t>> files;
  DataOptions options;
  Status status;
  std::vector<std::string> words;
};

std::vector<std::uint8_t> as_bytes(const SafetensorsBuilder& file) {
  std::vector<std::uint8_t> bytes;
  for (const std::byte byte : file.bytes()) bytes.push_back(static_cast<std::uint8_t>(byte));
  return bytes;
}

template <class Value>
SafetensorsBuilder with_inputs(const std::vector<std::int64_t>& shape,
                               const std::vector<Value>& inputs) {
  SafetensorsBuilder file;
  file.add("inputs", shape, inputs);
  return file;
}

std::vector<Wrong> wrong_sets() {
  const auto mnist = [](std::vector<std::uint8_t> images, std::vector<std::uint8_t> labels) {
    return std::map<std::string, std::vector<std::uint8_t>>{
        {"train-images-idx3-ubyte", std::move(images)},
        {"train-labels-idx1-ubyte", std::move(labels)}};
  };
  const auto good = mnist(idx_images(3, 4, 4), idx_bytes({3}, {0, 1, 9}));
  const auto with = [](const std::string& name, const auto& change) {
    DataOptions options = named(name, "");
    change(options);
    return options;
  };
  const DataOptions plain = named("mnist", ""), mine = named("a.safetensors", "");
  const auto own = [](const SafetensorsBuilder& file) {
    return std::map<std::string, std::vector<std::uint8_t>>{{"a.safetensors", as_bytes(file)}};
  };
  SafetensorsBuilder double_inputs, float_labels, negative, wide, rowless, long_labels;
  double_inputs.add("inputs", {2, 2}, std::vector<double>(4));
  float_labels = with_inputs<float>({2, 2}, {1, 2, 3, 4});
  float_labels.add("labels", {2}, std::vector<float>{0, 1});
  negative = with_inputs<float>({2, 2}, {1, 2, 3, 4});
  negative.add("labels", {2}, std::vector<std::int32_t>{0, -1});
  wide = with_inputs<float>({2, 2}, {1, 2, 3, 4});
  wide.add("labels", {2}, std::vector<std::int32_t>{0, 65'536});
  long_labels = with_inputs<float>({2, 2}, {1, 2, 3, 4});
  long_labels.add("labels", {3}, std::vector<std::int32_t>{0, 1, 1});
  SafetensorsBuilder matrix = with_inputs<float>({2, 2}, {1, 2, 3, 4});
  matrix.add("labels", {2, 1}, std::vector<std::int32_t>{0, 1});
  const SafetensorsBuilder empty_rows = with_inputs<float>({2, 0}, {});
  rowless.add("pixels", {2, 2}, std::vector<float>(4));
  SafetensorsBuilder cubes = with_inputs<float>({2, 2, 1}, {1, 2, 3, 4});
  cubes.add("targets", {2, 1, 1}, std::vector<float>(2));
  SafetensorsBuilder flat = with_inputs<float>({4}, {1, 2, 3, 4});
  SafetensorsBuilder nan =
      with_inputs<float>({2, 2}, {1, 2, std::numeric_limits<float>::infinity(), 4});
  SafetensorsBuilder constant = with_inputs<float>({2, 2}, {3, 1, 3, 2});
  const std::vector<std::uint8_t> short_record(100), labeled(3073, 11);
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
  return {
      {{},
       plain,
       Status::kInputOutput,
       {"train-images-idx3-ubyte", "[.gz]", "nothing was found there", "https://"}},
      {{{"t10k-images-idx3-ubyte", {}}},
       plain,
       Status::kInputOutput,
       {"found there: t10k-images-idx3-ubyte"}},
      {{{"train-images-idx3-ubyte", idx_images(3, 4, 4)}},
       plain,
       Status::kInputOutput,
       {"train-labels-idx1-ubyte"}},
      {mnist(idx_images(3, 4, 4), idx_bytes({2}, {0, 1})),
       plain,
       Status::kBadData,
       {"3 images", "2 labels"}},
      {mnist(idx_images(3, 4, 4), idx_bytes({3}, {0, 10, 9})),
       plain,
       Status::kBadData,
       {"label 10 of row 1", "0..9"}},
      {mnist(idx_bytes({20}, std::vector<std::uint8_t>(20)), idx_images(3, 4, 4)),
       plain,
       Status::kBadData,
       {"train-images", "00000803"}},
      {mnist({}, idx_bytes({3}, {0, 1, 9})), plain, Status::kBadData, {"0 bytes"}},
      {good, named("minst", ""), Status::kUsage, {"minst", "mnist", "FILE.safetensors"}},
      {good, named("idx:", ""), Status::kUsage, {"idx:PREFIX"}},
      {good,
       named("idx:mine", ""),
       Status::kInputOutput,
       {"mine-train-images-idx3-ubyte", "PREFIX = mine"}},
      {good, named("fashion", "", Split::kTest), Status::kInputOutput, {"t10k-images-idx3-ubyte"}},
      {good,
       with("mnist",
            [](auto& o) {
              o.transform.classes = {3, 11};
            }),
       Status::kUsage,
       {"no class 11", "0..9"}},
      {good,
       with("mnist",
            [](auto& o) {
              o.transform.classes = {1, 9, 1};
            }),
       Status::kUsage,
       {"class 1 is listed twice"}},
      {good,
       with("mnist",
            [](auto& o) {
              o.transform.classes = {2, 3};
            }),
       Status::kUsage,
       {"no row belongs to one"}},
      {good,
       with("mnist", [](auto& o) { o.transform.resize = 5; }),
       Status::kUsage,
       {"4 x 4 x 1", "at least 5 x 5"}},
      {good,
       with("mnist", [](auto& o) { o.transform.grey = true; }),
       Status::kUsage,
       {"4 x 4 x 1", "three channels"}},
      {{}, named("cifar10", ""), Status::kInputOutput, {"data_batch_1.bin", "pickled"}},
      {{{"data_batch_1", {1}}},
       named("cifar10", ""),
       Status::kInputOutput,
       {"data_batch_1.bin", "found there: data_batch_1"}},
      {{{"data_batch_1.bin", {}}},
       named("cifar10", ""),
       Status::kBadData,
       {"record 0 has 0 bytes", "3073"}},
      {{{"data_batch_1.bin", {pointer.begin(), pointer.end()}}},
       named("cifar10", ""),
       Status::kBadData,
       {"data_batch_1.bin: it is a git-lfs pointer", "`git lfs pull`", "record 0"}},
      {{{"data_batch_2.bin", short_record}},
       named("cifar10", ""),
       Status::kBadData,
       {"data_batch_2.bin", "100 bytes"}},
      {{{"data_batch_1.bin", labeled}},
       named("cifar10", ""),
       Status::kBadData,
       {"label 11 of record 0"}},
      {{{"train.bin", short_record}}, named("cifar100", ""), Status::kBadData, {"3074"}},
      {{}, mine, Status::kInputOutput, {"a.safetensors"}},
      {{{"a.safetensors", {1, 2, 3}}},
       mine,
       Status::kBadData,
       {"a.safetensors", "not a safetensors file"}},
      {own(rowless), mine, Status::kBadData, {"no tensor inputs", "pixels"}},
      {own(double_inputs), mine, Status::kBadData, {"dtype F64", "U8 or F32"}},
      {own(float_labels), mine, Status::kBadData, {"labels have dtype F32"}},
      {own(negative), mine, Status::kBadData, {"labels contain -1"}},
      {own(wide), mine, Status::kBadData, {"labels contain 65536"}},
      {own(matrix), mine, Status::kBadData, {"labels have shape [2, 1]"}},
      {own(empty_rows), mine, Status::kBadData, {"inputs"}},
      {good,
       with("mnist", [](auto& o) { o.transform.classes = {-1}; }),
       Status::kUsage,
       {"no class -1"}},
      {good,
       with("mnist", [](auto& o) { o.channels_first = true; }),
       Status::kUsage,
       {"channels = \"first\"", "FILE.safetensors"}},
      {own(negative),
       with("a.safetensors", [](auto& o) { o.channels_first = true; }),
       Status::kUsage,
       {"shape [2, 2]", "[n, channels, height, width]"}},
      {own(long_labels), mine, Status::kBadData, {"3 labels for 2 rows"}},
      {own(flat), mine, Status::kBadData, {"shape [4]"}},
      {own(cubes), mine, Status::kBadData, {"targets", "[2, 1, 1]"}},
      {own(nan), mine, Status::kBadData, {"non-finite"}},
      {own(with_inputs<float>({2, 2}, {1, 2, 3, 4})),
       with("a.safetensors",
            [](auto& o) {
              o.transform.classes = {0, 1};
            }),
       Status::kUsage,
       {"no labels"}},
      {own(constant),
       with("a.safetensors", [](auto& o) { o.transform.standardise = true; }),
       Status::kUsage,
       {"channel 0 is constant"}},
      {own(constant),
       named("a.safetensors", "", Split::kTest),
       Status::kBadData,
       {"no tensor test_inputs"}},
  };
}

TEST(DataSets, ErrorsNameTheCause) {
  int number = 0;
  for (const Wrong& wrong : wrong_sets()) {
    const TemporaryDirectory directory;
    for (const auto& [name, bytes] : wrong.files) directory.write(name, bytes);
    DataOptions options = wrong.options;
    options.directory = directory.path();
    const ThrownError error = error_of([&] { load_data(options); });
    SCOPED_TRACE(testing::Message() << "case " << number++ << ": " << error.message);
    EXPECT_EQ(error.status, wrong.status);
    for (const std::string& word : wrong.words) EXPECT_TRUE(error.says(word)) << word;
  }
  EXPECT_GE(number, 25);
}

}  // namespace
}  // namespace l2o
