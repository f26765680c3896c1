// Data sets from files of the user's own.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "host/data/data_set.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

using test::SafetensorsBuilder;

TEST(SafetensorsSet, AFileThatChangedIsReadAgain) {
  const TemporaryDirectory directory;
  const auto write = [&](const std::vector<float>& values) {
    SafetensorsBuilder file;
    file.add("inputs", {static_cast<std::int64_t>(values.size()), 1}, values);
    directory.write("a.safetensors", file.bytes());
  };
  const DataOptions options = {.name = "a.safetensors", .directory = directory.path()};
  write({1.0F, 2.0F});
  const auto first = load_data(options);
  EXPECT_EQ(load_data(options), first);
  write({1.0F, 2.0F, 3.0F});
  const auto second = load_data(options);
  EXPECT_EQ(second->rows, 3);
  EXPECT_EQ(first->rows, 2) << "its users keep it";
  EXPECT_EQ(load_data(options), second);
}

TEST(SafetensorsSet, AcceptsEveryShapeAndType) {
  const TemporaryDirectory directory;
  SafetensorsBuilder file;
  file.add("inputs", {2, 2, 3, 2},
           std::vector<float>{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,  //
                              12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23});
  file.add("labels", {2}, std::vector<std::int64_t>{40'000, 1});
  file.add("test_inputs", {1, 2, 3, 2}, std::vector<float>(12, 0.5F));
  file.add("test_labels", {1}, std::vector<std::int64_t>{65'535});
  directory.write("a.safetensors", file.bytes());
  const auto set = load_data(DataOptions{.name = "a.safetensors", .directory = directory.path()});
  EXPECT_EQ(set->rows, 2);
  EXPECT_EQ((std::vector<int>{set->height, set->width, set->channels}),
            (std::vector<int>{2, 3, 2}));
  EXPECT_EQ(set->labels, (std::vector<std::uint16_t>{40'000, 1}));
  EXPECT_EQ(set->classes, 65'536) << "of both splits";
  EXPECT_EQ(set->scale, (std::vector<float>{1.0F, 1.0F})) << "floats stay unchanged";
  EXPECT_TRUE(has_test_split(DataOptions{.name = "a.safetensors", .directory = directory.path()}));

  // The same numbers as [n, 2 channels, 3, 2].
  const DataOptions first = {.name = directory.file("a.safetensors"), .channels_first = true};
  const auto turned = load_data(first);
  EXPECT_EQ((std::vector<int>{turned->height, turned->width, turned->channels}),
            (std::vector<int>{3, 2, 2}));
  EXPECT_EQ(std::vector<float>(turned->values.begin(), turned->values.begin() + 4),
            (std::vector<float>{0, 6, 1, 7}));

  SafetensorsBuilder vectors;
  vectors.add("inputs", {3, 4}, std::vector<std::uint8_t>(12, 51));
  vectors.add("targets", {3}, std::vector<float>{1, 2, 3});
  directory.write("b.safetensors", vectors.bytes());
  const auto regression =
      load_data(DataOptions{.name = "b.safetensors", .directory = directory.path()});
  EXPECT_EQ(regression->channels, 4);
  EXPECT_EQ(regression->target_size, 1);
  EXPECT_EQ(regression->classes, 0);
  EXPECT_FALSE(has_test_split(DataOptions{.name = "b.safetensors", .directory = directory.path()}));
}

template <class Label>
void expect_labels_of_type() {
  const TemporaryDirectory directory;
  SafetensorsBuilder file;
  file.add("inputs", {3, 1}, std::vector<float>{1, 2, 3});
  file.add("labels", {3}, std::vector<Label>{100, 0, 7});
  directory.write("a.safetensors", file.bytes());
  const auto set = load_data(DataOptions{.name = "a.safetensors", .directory = directory.path()});
  EXPECT_EQ(set->labels, (std::vector<std::uint16_t>{100, 0, 7}))
      << test::safetensors_dtype<Label>();
}

TEST(SafetensorsSet, LabelsHaveAnyIntegerType) {
  expect_labels_of_type<std::int8_t>();
  expect_labels_of_type<std::int16_t>();
  expect_labels_of_type<std::int32_t>();
  expect_labels_of_type<std::int64_t>();
  expect_labels_of_type<std::uint8_t>();
  expect_labels_of_type<std::uint16_t>();
  expect_labels_of_type<std::uint32_t>();
  expect_labels_of_type<std::uint64_t>();
}

}  // namespace
}  // namespace l2o
