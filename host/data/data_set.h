// Data sets, in host memory. registry.cpp has the list of all kinds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace l2o {

enum class Split : int { kTrain, kTest };

/// Labels have 16 bits.
inline constexpr int kMaxClasses = 1 << 16;

/// Rows of inputs, each with a label, with targets, or with neither. An image is stored row by
/// row, channels fastest: [height, width, channels]; an input that is not an image is
/// [1, 1, channels].
struct DataSet {
  std::int64_t rows = 0;
  int height = 1, width = 1, channels = 0;
  int classes = 0;                    ///< labels are 0 .. classes - 1; 0: no labels
  int target_size = 0;                ///< 0: no targets
  std::vector<std::uint8_t> bytes;    ///< [rows, height, width, channels]
  std::vector<float> values;          ///< the same; exactly one of bytes and values is non-empty
  std::vector<std::uint16_t> labels;  ///< [rows]
  std::vector<float> targets;         ///< [rows, target_size]
  /// A network reads value * scale[channel] + shift[channel]. This divides bytes by 255 and leaves
  /// floats unchanged or, if standardized, also subtracts the channel's training-split mean and
  /// divides by its standard deviation.
  std::vector<float> scale, shift;  ///< [channels]
  std::uint64_t fingerprint = 0;    ///< xxh64 of all of the above
  std::string source;               ///< its name in messages: files, or the caller's arrays
  std::vector<std::string> files;   ///< paths of the files that were read

  int row_size() const { return height * width * channels; }
};

/// What is done to a set after it is read.
struct DataTransform {
  std::vector<int> classes = {};  ///< keep these, renumbered in this order; empty: all
  int resize = 0;     ///< side of the square that images are averaged down to; 0: unchanged
  bool grey = false;  ///< one channel: 0.299 red + 0.587 green + 0.114 blue
  bool standardise = false;
};

struct DataOptions {
  std::string name = {};       ///< as listed in registry.cpp, e.g. mnist, idx:PREFIX
  std::string directory = {};  ///< of the data sets; empty: none was given
  Split split = Split::kTrain;
  bool channels_first = false;  ///< images of a .safetensors are [n, channels, height, width]
  DataTransform transform = {};
};

/// Loads a data set, or returns the one still in use in this process if its files are unchanged.
/// Throws kUsage for an unknown name or options that do not fit the data, kInputOutput if a file is
/// missing, listing the expected files and the places searched, kBadData if a file is damaged or
/// files do not belong together.
std::shared_ptr<const DataSet> load_data(const DataOptions& options);
/// Returns whether the data set named in `options` has its own test split. Throws kUsage for an
/// unknown name.
bool has_test_split(const DataOptions& options);
/// A set from the caller's arrays: `set` must have every member filled in except scale, shift and
/// fingerprint; `source` is its name in messages. Throws kBadData if it is inconsistent, kUsage if
/// the transform does not fit it.
std::shared_ptr<const DataSet> make_data_set(DataSet set, const DataTransform& transform);

}  // namespace l2o
