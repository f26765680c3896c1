// Sets of images and labels as IDX (yann.lecun.com/exdb/mnist): MNIST and its successors, and the
// user's own.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "host/core/error.h"
#include "host/data/find_file.h"
#include "host/data/idx.h"
#include "host/data/readers.h"
#include "host/data/transform.h"

namespace l2o {
namespace {

struct IdxSet {
  const char* name;
  const char* folder;  ///< torchvision's directory, which keeps the files in raw/
  const char* prefix;  ///< prefix of the file names
  bool transposed;     ///< EMNIST's images are stored column by column
  const char* origin;
};

constexpr IdxSet kSets[] = {
    {"mnist", "MNIST", "", false, "https://ossci-datasets.s3.amazonaws.com/mnist/"},
    {"fashion", "FashionMNIST", "", false, "https://github.com/zalandoresearch/fashion-mnist"},
    {"kmnist", "KMNIST", "", false, "http://codh.rois.ac.jp/kmnist/"},
    {"emnist", "EMNIST", "emnist-balanced-", true,
     "https://www.nist.gov/itl/products-and-services/emnist-dataset"},
};

WantedFile wanted(const DataOptions& options, const char* kind, int dimensions) {
  const bool is_test = options.split == Split::kTest;
  WantedFile file{.set = options.name, .names = {}, .directories = {}, .hint = {}};
  std::vector<std::string> stems =
      is_test ? std::vector<std::string>{"t10k", "test"} : std::vector<std::string>{"train"};
  std::string prefix;
  if (options.name.starts_with("idx:")) {
    prefix = options.name.substr(4) + "-";
    file.directories = below(options.directory, {});
    if (options.directory.empty()) file.directories = {"."};
    file.hint = fmt::format(
        "Put PREFIX-train-images-idx3-ubyte, PREFIX-train-labels-idx1-ubyte and, for "
        "a test split, PREFIX-test-... with PREFIX = {} there",
        options.name.substr(4));
  } else {
    const auto set = std::find_if(std::begin(kSets), std::end(kSets),
                                  [&](const IdxSet& one) { return options.name == one.name; });
    prefix = set->prefix;
    if (!prefix.empty() && is_test) stems = {"test"};
    const std::string folder = set->folder;
    file.directories = below(options.directory, {options.name, folder, folder + "/raw", "raw"});
    file.hint = fmt::format("Get the four files from {}", set->origin);
  }
  for (const std::string& stem : stems) {
    // The second name is Kaggle's.
    for (const char separator : {'-', '.'}) {
      file.names.push_back(
          fmt::format("{}{}-{}{}idx{}-ubyte", prefix, stem, kind, separator, dimensions));
    }
  }
  return file;
}

/// Transposes height x width images that are stored column by column.
void transpose_images(IdxArray& images) {
  const auto height = static_cast<std::size_t>(images.shape[1]);
  const auto width = static_cast<std::size_t>(images.shape[2]);
  std::vector<std::uint8_t> image(height * width);
  for (std::size_t first = 0; first < images.values.size(); first += height * width) {
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t x = 0; x < width; ++x) {
        image[x * height + y] = images.values[first + y * width + x];
      }
    }
    std::copy(image.begin(), image.end(),
              images.values.begin() + static_cast<std::ptrdiff_t>(first));
  }
  std::swap(images.shape[1], images.shape[2]);
}

}  // namespace

DataSet read_idx_set(const DataOptions& options) {
  const std::string images_path = require_file(wanted(options, "images", 3));
  const std::string labels_path = require_file(wanted(options, "labels", 1));
  IdxArray images = read_idx(images_path, 3);
  const IdxArray labels = read_idx(labels_path, 1);
  if (images.shape[0] != labels.shape[0]) {
    throw Error(Status::kBadData,
                fmt::format("{} images in {} but {} labels in {}", images.shape[0], images_path,
                            labels.shape[0], labels_path));
  }
  if (images.shape[1] * images.shape[2] > std::numeric_limits<int>::max()) {
    throw Error(Status::kBadData, fmt::format("{}: images of {} x {} are too large", images_path,
                                              images.shape[1], images.shape[2]));
  }
  for (const IdxSet& known : kSets) {
    if (options.name == known.name && known.transposed) transpose_images(images);
  }
  DataSet set;
  set.files = {images_path, labels_path};
  set.rows = images.shape[0];
  set.height = static_cast<int>(images.shape[1]);
  set.width = static_cast<int>(images.shape[2]);
  set.channels = 1;
  set.bytes = std::move(images.values);
  set.labels = {labels.values.begin(), labels.values.end()};
  // For the user's own sets the labels determine the number of classes; a test split may lack the
  // last.
  set.classes = 1 + *std::max_element(set.labels.begin(), set.labels.end());
  if (options.name == "emnist") {
    set.classes = std::max(set.classes, 47);
  } else if (!options.name.starts_with("idx:")) {
    set.classes = 10;
  } else if (options.split == Split::kTest) {
    DataOptions training = options;
    training.split = Split::kTrain;
    const std::string path = find_file(wanted(training, "labels", 1));
    if (!path.empty()) {
      set.files.push_back(path);
      const IdxArray all = read_idx(path, 1);
      set.classes = 1 + *std::max_element(all.values.begin(), all.values.end());
    }
  }
  set.source = labels_path;
  check_rows(set);
  set.source = images_path;
  return set;
}

bool idx_set_has_test_split(const DataOptions& options) {
  DataOptions test = options;
  test.split = Split::kTest;
  return !find_file(wanted(test, "images", 3)).empty();
}

}  // namespace l2o
