// FILE.safetensors: the user's own data. "inputs" [n, ...] of bytes or float32, and "labels" [n] of
// integers or "targets" [n] or [n, k] of float32; "test_inputs" etc. are its test split.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/core/safetensors.h"
#include "host/data/find_file.h"
#include "host/data/readers.h"
#include "host/data/transform.h"

namespace l2o {
namespace {

using Tensors = std::map<std::string, TensorView>;

/// The name itself if that is a file, else the file in the data directory.
std::string path_of(const DataOptions& options) {
  const std::string in_directory = options.directory + "/" + options.name;
  return is_file(options.name) || options.directory.empty() || options.name.starts_with('/')
             ? options.name
             : in_directory;
}

std::vector<std::byte> bytes_of(const std::string& path) {
  require_regular_file(path);  // it may be read several times, unlike a pipe
  return read_file(path, std::numeric_limits<std::size_t>::max());
}

/// The file's bytes and the tensors in it.
struct File {
  explicit File(const DataOptions& options)
      : path(path_of(options)), bytes(bytes_of(path)), tensors(view_safetensors(bytes, path)) {}

  [[noreturn]] void fail(const std::string& cause) const {
    throw Error(Status::kBadData, fmt::format("{}: {}", path, cause));
  }
  const TensorView* find(const std::string& name) const {
    const auto found = tensors.find(name);
    return found == tensors.end() ? nullptr : &found->second;
  }

  std::string path;
  std::vector<std::byte> bytes;
  Tensors tensors;
};

template <class Value>
std::vector<Value> values_of(const TensorView& tensor) {
  std::vector<Value> values(tensor.bytes.size() / sizeof(Value));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

/// [n, channels, height, width] into [n, height, width, channels].
template <class Value>
void channels_to_back(std::vector<Value>& values, const DataSet& set) {
  std::vector<Value> out(values.size());
  const std::int64_t pixels = std::int64_t{set.height} * set.width;
  for (std::int64_t row = 0; row < set.rows; ++row) {
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (int c = 0; c < set.channels; ++c) {
        out[static_cast<std::size_t>((row * pixels + pixel) * set.channels + c)] =
            values[static_cast<std::size_t>((row * set.channels + c) * pixels + pixel)];
      }
    }
  }
  values = std::move(out);
}

void read_inputs(const File& file, const TensorView& inputs, bool channels_first, DataSet& set) {
  const std::vector<std::int64_t>& shape = inputs.shape;
  const auto is_wrong = [](std::int64_t extent) { return extent < 1 || extent > (1 << 24); };
  if (shape.size() < 2 || shape.size() > 4 ||
      std::any_of(shape.begin() + 1, shape.end(), is_wrong)) {
    file.fail(
        fmt::format("inputs have shape [{}]; expected [n, values], [n, height, width] or [n, "
                    "height, width, channels]",
                    fmt::join(shape, ", ")));
  }
  if (channels_first && shape.size() != 4) {
    throw Error(
        Status::kUsage,
        fmt::format("task.channels = \"first\" with {}: inputs have shape [{}]; expected [n, "
                    "channels, height, width]",
                    file.path, fmt::join(shape, ", ")));
  }
  set.rows = shape[0];
  const auto extent = [&](std::size_t i) { return static_cast<int>(shape[i]); };
  if (shape.size() == 2) {
    set.channels = extent(1);
  } else {
    set.height = extent(channels_first ? 2 : 1);
    set.width = extent(channels_first ? 3 : 2);
    set.channels = shape.size() == 3 ? 1 : extent(channels_first ? 1 : 3);
  }
  if (std::int64_t{set.height} * set.width > std::numeric_limits<int>::max() / set.channels) {
    file.fail(fmt::format("inputs have shape [{}]: a row is too large", fmt::join(shape, ", ")));
  }
  if (inputs.dtype == "U8") {
    set.bytes = values_of<std::uint8_t>(inputs);
    if (channels_first) channels_to_back(set.bytes, set);
  } else if (inputs.dtype == "F32") {
    set.values = values_of<float>(inputs);
    if (channels_first) channels_to_back(set.values, set);
  } else {
    file.fail(fmt::format("inputs have dtype {}; expected U8 or F32", inputs.dtype));
  }
}

/// Labels as 64-bit integers, whatever their type in the file.
std::vector<std::int64_t> read_integers(const File& file, const std::string& name,
                                        const TensorView& tensor) {
  const auto widened = [&](auto value) {
    const auto values = values_of<decltype(value)>(tensor);
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  if (tensor.dtype == "U8") return widened(std::uint8_t{});
  if (tensor.dtype == "I8") return widened(std::int8_t{});
  if (tensor.dtype == "U16") return widened(std::uint16_t{});
  if (tensor.dtype == "I16") return widened(std::int16_t{});
  if (tensor.dtype == "U32") return widened(std::uint32_t{});
  if (tensor.dtype == "I32") return widened(std::int32_t{});
  if (tensor.dtype == "I64" || tensor.dtype == "U64") return widened(std::int64_t{});
  file.fail(fmt::format("{} have dtype {}; expected integers", name, tensor.dtype));
}

std::vector<std::uint16_t> read_labels(const File& file, const std::string& name,
                                       const TensorView& tensor) {
  if (tensor.shape.size() != 1) {
    file.fail(fmt::format("{} have shape [{}]; expected [n]", name, fmt::join(tensor.shape, ", ")));
  }
  std::vector<std::uint16_t> labels;
  for (const std::int64_t label : read_integers(file, name, tensor)) {
    if (label < 0 || label >= kMaxClasses) {
      file.fail(fmt::format("{} contain {}; expected 0..{}", name, label, kMaxClasses - 1));
    }
    labels.push_back(static_cast<std::uint16_t>(label));
  }
  return labels;
}

int classes_of(const std::vector<std::uint16_t>& labels) {
  return labels.empty() ? 0 : 1 + *std::max_element(labels.begin(), labels.end());
}

}  // namespace

DataSet read_safetensors_set(const DataOptions& options) {
  const File file(options);
  const std::string prefix = options.split == Split::kTest ? "test_" : "";
  const TensorView* inputs = file.find(prefix + "inputs");
  if (inputs == nullptr) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : file.tensors) names.push_back(name);
    file.fail(fmt::format("there is no tensor {}inputs; its tensors are {}", prefix,
                          fmt::join(names, ", ")));
  }
  DataSet set;
  set.source = file.path;
  set.files = {file.path};
  read_inputs(file, *inputs, options.channels_first, set);
  if (const TensorView* labels = file.find(prefix + "labels")) {
    set.labels = read_labels(file, prefix + "labels", *labels);
    set.classes = classes_of(set.labels);
    // Both splits have the classes of either.
    const std::string other = options.split == Split::kTest ? "labels" : "test_labels";
    if (const TensorView* tensor = file.find(other)) {
      set.classes = std::max(set.classes, classes_of(read_labels(file, other, *tensor)));
    }
  }
  if (const TensorView* targets = file.find(prefix + "targets")) {
    if (targets->dtype != "F32" || targets->shape.size() > 2) {
      file.fail(fmt::format("{}targets have dtype {} and shape [{}]; expected F32 of [n] or [n, k]",
                            prefix, targets->dtype, fmt::join(targets->shape, ", ")));
    }
    set.targets = values_of<float>(*targets);
    const std::int64_t width = targets->shape.size() == 2 ? targets->shape[1] : 1;
    if (width > (1 << 24)) file.fail("its targets have too many values per row");
    set.target_size = static_cast<int>(width);
  }
  check_rows(set);
  return set;
}

bool safetensors_set_has_test_split(const DataOptions& options) {
  return File(options).find("test_inputs") != nullptr;
}

}  // namespace l2o
