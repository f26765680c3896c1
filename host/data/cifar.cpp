// CIFAR-10 and CIFAR-100 (Krizhevsky 2009), the binary version: records of a label, or of a coarse
// and a fine one, and 3,072 bytes: red, green and blue planes of 32 x 32.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "host/core/error.h"
#include "host/data/byte_stream.h"
#include "host/data/find_file.h"
#include "host/data/readers.h"

namespace l2o {
namespace {

constexpr int kImageSide = 32, kPixels = kImageSide * kImageSide, kChannels = 3;

struct Layout {
  bool is_100;
  std::vector<std::string> train_files;
  std::string test_file;
  std::vector<std::string> folders;
};

Layout layout_of(const DataOptions& options) {
  if (options.name == "cifar100") {
    return {true, {"train.bin"}, "test.bin", {"cifar100", "cifar-100-binary"}};
  }
  Layout layout{false, {}, "test_batch.bin", {"cifar10", "cifar-10-batches-bin"}};
  for (int i = 1; i <= 5; ++i) layout.train_files.push_back(fmt::format("data_batch_{}.bin", i));
  return layout;
}

WantedFile wanted(const DataOptions& options, const Layout& layout, const std::string& name) {
  return {.set = options.name,
          .names = {name},
          .directories = below(options.directory, layout.folders),
          .hint =
              "Get the binary version (not the pickled Python version, whose files have no .bin) "
              "from https://www.cs.toronto.edu/~kriz/cifar.html"};
}

void read_records(const std::string& path, bool is_100, DataSet& set) {
  ByteStream stream(path);
  const int labels = is_100 ? 2 : 1;
  const std::int64_t record_bytes = labels + kChannels * kPixels;
  std::vector<std::uint8_t> record(static_cast<std::size_t>(record_bytes));
  for (std::int64_t number = 0;; ++number) {
    const std::int64_t got = stream.read(record.data(), record_bytes);
    if (got == 0 && number > 0) return;
    if (got < record_bytes) {
      stream.throw_bad(fmt::format("record {} has {} bytes; expected {}: is it the binary version?",
                                   number, got, record_bytes));
    }
    const std::uint8_t label = record[static_cast<std::size_t>(labels) - 1];
    if (label >= set.classes) {
      stream.throw_bad(
          fmt::format("label {} of record {} is not one of 0..{}", label, number, set.classes - 1));
    }
    set.labels.push_back(label);
    for (int pixel = 0; pixel < kPixels; ++pixel) {
      for (int c = 0; c < kChannels; ++c) {
        const int place = labels + c * kPixels + pixel;
        set.bytes.push_back(record[static_cast<std::size_t>(place)]);
      }
    }
    ++set.rows;
  }
}

}  // namespace

DataSet read_cifar(const DataOptions& options) {
  const Layout layout = layout_of(options);
  DataSet set;
  set.height = set.width = kImageSide;
  set.channels = kChannels;
  set.classes = layout.is_100 ? 100 : 10;
  std::vector<std::string> paths;
  if (options.split == Split::kTest) {
    paths.push_back(require_file(wanted(options, layout, layout.test_file)));
  } else {
    // As many of the training files as there are.
    for (const std::string& name : layout.train_files) {
      const std::string path = find_file(wanted(options, layout, name));
      if (!path.empty()) paths.push_back(path);
    }
    if (paths.empty()) require_file(wanted(options, layout, layout.train_files.front()));
  }
  for (const std::string& path : paths) read_records(path, layout.is_100, set);
  set.files = paths;
  set.source = paths.front();
  if (paths.size() > 1) set.source += fmt::format(" and {} more", paths.size() - 1);
  return set;
}

bool cifar_has_test_split(const DataOptions& options) {
  const Layout layout = layout_of(options);
  return !find_file(wanted(options, layout, layout.test_file)).empty();
}

}  // namespace l2o
