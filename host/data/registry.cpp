// The list of data sets. To add one: write its file, declare its reader in readers.h and add a line
// here.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "host/core/error.h"
#include "host/data/readers.h"
#include "host/data/transform.h"

namespace l2o {
namespace {

struct DataKind {
  const char* name;  ///< its name in configurations; for idx: and .safetensors a part of it
  DataSet (*read)(const DataOptions& options);
  bool (*has_test_split)(const DataOptions& options);
};

constexpr DataKind kKinds[] = {
    {"mnist", read_idx_set, idx_set_has_test_split},
    {"fashion", read_idx_set, idx_set_has_test_split},
    {"kmnist", read_idx_set, idx_set_has_test_split},
    {"emnist", read_idx_set, idx_set_has_test_split},
    {"idx:", read_idx_set, idx_set_has_test_split},
    {"cifar10", read_cifar, cifar_has_test_split},
    {"cifar100", read_cifar, cifar_has_test_split},
    {"synthetic", read_synthetic, synthetic_has_test_split},
    {".safetensors", read_safetensors_set, safetensors_set_has_test_split},
};

const DataKind& kind_of(const std::string& name) {
  for (const DataKind& kind : kKinds) {
    const std::string known = kind.name;
    const bool is_prefix = known.ends_with(':'), is_suffix = known.starts_with('.');
    const bool fits = is_prefix ? name.starts_with(known) : is_suffix && name.ends_with(known);
    if (fits ? name.size() > known.size() : name == known && !is_prefix) return kind;
  }
  std::vector<std::string> expected;
  for (const DataKind& kind : kKinds) {
    const std::string known = kind.name;
    expected.push_back(known.ends_with(':')     ? known + "PREFIX"
                       : known.starts_with('.') ? "FILE" + known
                                                : known);
  }
  throw Error(Status::kUsage, fmt::format("data = \"{}\": unknown data set; expected one of {}",
                                          name, fmt::join(expected, ", ")));
}

std::uint64_t fingerprint_of(const DataSet& set) {
  const std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> state(XXH64_createState(),
                                                                         &XXH64_freeState);
  XXH64_reset(state.get(), 0);
  const auto add = [&](const auto& values) {
    XXH64_update(state.get(), values.data(), values.size() * sizeof(values[0]));
  };
  add(std::vector<std::int64_t>{set.rows, set.height, set.width, set.channels, set.classes,
                                set.target_size});
  add(set.bytes);
  add(set.values);
  add(set.labels);
  add(set.targets);
  add(set.scale);
  add(set.shift);
  return XXH64_digest(state.get());
}

/// Transforms a set as read, and sets its scale and shift; does not standardise it.
DataSet finished(DataSet set, const DataTransform& transform) {
  keep_classes(set, transform);
  to_grey(set, transform);
  shrink(set, transform);
  set.scale.assign(static_cast<std::size_t>(set.channels),
                   set.bytes.empty() ? 1.0F : 1.0F / 255.0F);
  set.shift.assign(static_cast<std::size_t>(set.channels), 0.0F);
  return set;
}

DataSet load(const DataOptions& options) {
  const DataKind& kind = kind_of(options.name);
  if (options.channels_first && kind.read != read_safetensors_set) {
    throw Error(
        Status::kUsage,
        fmt::format("task.channels = \"first\" with data = \"{}\": only a FILE.safetensors may "
                    "have its channels first",
                    options.name));
  }
  DataSet set = finished(kind.read(options), options.transform);
  if (options.transform.standardise) {
    // Always by the training split.
    DataOptions training = options;
    training.split = Split::kTrain;
    training.transform.standardise = false;
    if (options.split == Split::kTrain) {
      standardise(set, set);
    } else {
      const auto whole = load_data(training);
      standardise(set, *whole);
      set.files.insert(set.files.end(), whole->files.begin(), whole->files.end());
    }
  }
  set.fingerprint = fingerprint_of(set);
  return set;
}

std::string key_of(const DataOptions& options) {
  const DataTransform& transform = options.transform;
  std::error_code ignored;
  // Relative paths depend on the current directory.
  const std::string here = std::filesystem::current_path(ignored).string();
  std::string key = fmt::format("{}\n{}\n{}\n{}{}{}{} {}", here, options.name, options.directory,
                                static_cast<int>(options.split), transform.grey ? "g" : "-",
                                transform.standardise ? "s" : "-",
                                options.channels_first ? "f" : "-", transform.resize);
  for (const int label : transform.classes) key += fmt::format(" {}", label);
  return key;
}

/// Changes if a file is replaced or written to. All 0 for one that does not exist.
struct FileState {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t seconds = 0, nanoseconds = 0;  // of the last modification
  bool operator==(const FileState&) const = default;
};

std::vector<FileState> states_of(const std::vector<std::string>& files) {
  std::vector<FileState> states;
  for (const std::string& file : files) {
    struct stat status = {};
    stat(file.c_str(), &status);
    states.push_back({status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
                      status.st_mtim.tv_nsec});
  }
  return states;
}

}  // namespace

std::shared_ptr<const DataSet> load_data(const DataOptions& options) {
  struct InUse {
    std::weak_ptr<const DataSet> data;
    std::vector<FileState> files;  // when the set was loaded
  };
  static std::recursive_mutex mutex;  // a test split is standardized by its training split
  static std::map<std::string, InUse> in_use;
  const std::lock_guard lock(mutex);
  std::erase_if(in_use, [](const auto& entry) { return entry.second.data.expired(); });
  const std::string key = key_of(options);
  std::shared_ptr<const DataSet> data = in_use[key].data.lock();
  if (!data || states_of(data->files) != in_use[key].files) {
    data = std::make_shared<const DataSet>(load(options));
    in_use[key] = {data, states_of(data->files)};
  }
  return data;
}

bool has_test_split(const DataOptions& options) {
  return kind_of(options.name).has_test_split(options);
}

std::shared_ptr<const DataSet> make_data_set(DataSet set, const DataTransform& transform) {
  check_rows(set);
  set = finished(std::move(set), transform);
  if (transform.standardise) standardise(set, set);
  set.fingerprint = fingerprint_of(set);
  return std::make_shared<const DataSet>(std::move(set));
}

}  // namespace l2o
