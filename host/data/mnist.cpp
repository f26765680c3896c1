// MNIST (LeCun, Cortes, Burges): 28 x 28 grey images of the ten digits.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include "host/core/error.h"
#include "host/data/data_set.h"
#include "host/data/idx.h"

namespace l2o {
namespace {

constexpr int kClasses = 10;

struct FileNames {
  const char* images;
  const char* labels;
};

FileNames file_names(Split split) {
  return split == Split::kTrain ? FileNames{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}
                                : FileNames{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
}

std::vector<std::string> directories(const std::string& data_dir) {
  if (data_dir.empty()) return {};
  return {data_dir, data_dir + "/mnist"};
}

/// Path of the file or of its .gz, the first there is.
std::string find_file(const std::string& data_dir, const FileNames& names, const char* name) {
  for (const std::string& directory : directories(data_dir)) {
    for (const char* suffix : {"", ".gz"}) {
      std::string path = directory + "/" + name + suffix;
      std::error_code ignored;
      if (std::filesystem::exists(path, ignored)) return path;
    }
  }
  const std::string looked =
      data_dir.empty()
          ? "no data directory was named"
          : fmt::format("it is neither in {}", fmt::join(directories(data_dir), " nor in "));
  throw Error(
      Status::kInputOutput,
      fmt::format("MNIST is wanted and {}[.gz] is missing: {}. Put {}[.gz] and {}[.gz] into "
                  "a directory and name it with --data DIR or L2O_DATA_DIR; the files are at "
                  "https://ossci-datasets.s3.amazonaws.com/mnist/",
                  name, looked, names.images, names.labels));
}

DataSet read_mnist(const std::string& images_path, const std::string& labels_path) {
  IdxArray images = read_idx(images_path, 3);
  IdxArray labels = read_idx(labels_path, 1);

  if (images.shape[0] != labels.shape[0]) {
    throw Error(Status::kBadData,
                fmt::format("{} images in {} but {} labels in {}", images.shape[0], images_path,
                            labels.shape[0], labels_path));
  }
  const std::int64_t row_size = images.shape[1] * images.shape[2];
  if (row_size > std::numeric_limits<int>::max()) {
    throw Error(Status::kBadData, fmt::format("{}: images of {} x {} are too large", images_path,
                                              images.shape[1], images.shape[2]));
  }
  const auto wrong = std::find_if(labels.values.begin(), labels.values.end(),
                                  [](std::uint8_t label) { return label >= kClasses; });
  if (wrong != labels.values.end()) {
    throw Error(Status::kBadData,
                fmt::format("{}: label {} of row {} is not one of 0..{}", labels_path, *wrong,
                            wrong - labels.values.begin(), kClasses - 1));
  }
  return {.rows = images.shape[0],
          .row_size = static_cast<int>(row_size),
          .classes = kClasses,
          .inputs = std::move(images.values),
          .labels = std::move(labels.values)};
}

}  // namespace

std::shared_ptr<const DataSet> load_mnist(const std::string& data_dir, Split split) {
  const FileNames names = file_names(split);
  const std::string images_path = find_file(data_dir, names, names.images);
  const std::string labels_path = find_file(data_dir, names, names.labels);

  static std::mutex mutex;
  static std::map<std::pair<std::string, std::string>, std::weak_ptr<const DataSet>> in_use;
  const std::lock_guard lock(mutex);
  std::weak_ptr<const DataSet>& known = in_use[{images_path, labels_path}];
  std::shared_ptr<const DataSet> data = known.lock();
  if (!data) {
    data = std::make_shared<const DataSet>(read_mnist(images_path, labels_path));
    known = data;
  }
  return data;
}

}  // namespace l2o
