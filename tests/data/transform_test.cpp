// Classes, grey and smaller images, standardized values, compared with plain double arithmetic.
#include <gtest/gtest.h>

#include <cmath>

#include "host/data/data_set.h"
#include "tests/support/small_images.h"

namespace l2o {
namespace {

/// Images of 5 x 7 in three channels, six rows, labels 0 1 2 0 1 2.
DataSet images(bool has_bytes) {
  DataSet set;
  set.rows = 6;
  set.height = 5;
  set.width = 7;
  set.channels = 3;
  set.classes = 3;
  set.labels = {0, 1, 2, 0, 1, 2};
  set.source = "images of this test";
  const std::vector<std::uint8_t> bytes = test::random_bytes(1, 6 * 5 * 7 * 3, 256);
  if (has_bytes) {
    set.bytes = bytes;
  } else {
    set.values = {bytes.begin(), bytes.end()};
  }
  return set;
}

double value(const DataSet& set, std::int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  return set.bytes.empty() ? double{set.values[at]} : double{static_cast<double>(set.bytes[at])};
}

TEST(Transform, KeepsClassesInTheirOrder) {
  const DataSet all = images(true);
  const auto some = make_data_set(all, {.classes = {2, 0}});
  EXPECT_EQ(some->classes, 2);
  EXPECT_EQ(some->rows, 4);
  EXPECT_EQ(some->labels, (std::vector<std::uint16_t>{1, 0, 1, 0}));
  const std::int64_t rows[] = {0, 2, 3, 5};
  for (std::int64_t i = 0; i < 4 * all.row_size(); ++i) {
    EXPECT_EQ(value(*some, i),
              value(all, rows[i / all.row_size()] * all.row_size() + i % all.row_size()));
  }
}

TEST(Transform, AveragesAreasOfImages) {
  for (const bool has_bytes : {true, false}) {
    const DataSet all = images(has_bytes);
    for (const int side : {1, 2, 3, 5}) {
      const auto small = make_data_set(all, {.resize = side});
      EXPECT_EQ(small->height, side);
      EXPECT_EQ(small->width, side);
      // An integral over the area that a pixel covers, by sampling a fine grid.
      constexpr int kFine = 105;  // a multiple of 3, 5 and 7
      for (int y = 0; y < side; ++y) {
        for (int x = 0; x < side; ++x) {
          for (int c = 0; c < 3; ++c) {
            double sum = 0.0;
            int count = 0;
            for (int i = 0; i < 2 * kFine; ++i) {
              for (int j = 0; j < 2 * kFine; ++j) {
                if (i * side / (2 * kFine) != y || j * side / (2 * kFine) != x) continue;
                const int from_y = i * 5 / (2 * kFine), from_x = j * 7 / (2 * kFine);
                sum += value(all, (from_y * 7 + from_x) * 3 + c);
                ++count;
              }
            }
            const double actual = value(*small, (y * side + x) * 3 + c);
            EXPECT_NEAR(actual, sum / count, has_bytes ? 0.5001 : 1e-3)
                << side << ' ' << y << ' ' << x;
          }
        }
      }
    }
  }
}

TEST(Transform, MakesOneChannelOfThree) {
  for (const bool has_bytes : {true, false}) {
    const DataSet all = images(has_bytes);
    const auto grey = make_data_set(all, {.grey = true});
    EXPECT_EQ(grey->channels, 1);
    for (std::int64_t i = 0; i < 6 * 35; ++i) {
      const double expected =
          0.299 * value(all, 3 * i) + 0.587 * value(all, 3 * i + 1) + 0.114 * value(all, 3 * i + 2);
      EXPECT_NEAR(value(*grey, i), expected, has_bytes ? 0.5001 : 1e-4);
    }
  }
}

TEST(Transform, StandardisesByTheTrainingSplit) {
  for (const bool has_bytes : {true, false}) {
    const DataSet all = images(has_bytes);
    const auto set = make_data_set(all, {.standardise = true});
    for (std::size_t c = 0; c < 3; ++c) {
      double sum = 0.0, squares = 0.0;
      for (std::int64_t i = static_cast<std::int64_t>(c); i < 6 * 105; i += 3) {
        const double x = value(*set, i) * set->scale[c] + double{set->shift[c]};
        sum += x;
        squares += x * x;
      }
      EXPECT_NEAR(sum / 210, 0.0, 1e-5);
      EXPECT_NEAR(squares / 210, 1.0, 1e-5);
    }
  }
  const TemporaryDirectory directory;
  test::write_small_images(directory);
  DataOptions options{
      .name = "cifar10", .directory = directory.path(), .transform = {.standardise = true}};
  const auto train = load_data(options);
  options.split = Split::kTest;
  const auto test_split = load_data(options);
  EXPECT_EQ(test_split->scale, train->scale);
  EXPECT_EQ(test_split->shift, train->shift);
}

}  // namespace
}  // namespace l2o
