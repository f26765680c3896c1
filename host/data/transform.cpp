#include "host/data/transform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "host/core/error.h"
#include "host/data/readers.h"

namespace l2o {
namespace {

[[noreturn]] void refuse(const std::string& what, const DataSet& set, const std::string& why) {
  throw Error(Status::kUsage, fmt::format("task.{} with {}: {}", what, set.source, why));
}

std::string shape_text(const DataSet& set) {
  return fmt::format("{} x {} x {}", set.height, set.width, set.channels);
}

/// The weights with which an output pixel averages the pixels first, first + 1, ...; their sum
/// is 1.
struct Window {
  int first = 0;
  std::vector<double> shares;
};

std::vector<Window> windows(int size, int n) {
  std::vector<Window> result;
  for (int i = 0; i < n; ++i) {
    const double begin = static_cast<double>(i) * size / n,
                 end = static_cast<double>(i + 1) * size / n;
    Window window{.first = static_cast<int>(begin), .shares = {}};
    for (int pixel = window.first; pixel < size && pixel < end; ++pixel) {
      const double covered = std::min(end, pixel + 1.0) - std::max(begin, double(pixel));
      window.shares.push_back(covered * n / size);
    }
    result.push_back(std::move(window));
  }
  return result;
}

/// Converts to the type that is stored: bytes are rounded to nearest.
float stored(double value, float) { return static_cast<float>(value); }
std::uint8_t stored(double value, std::uint8_t) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

template <class Value>
void shrink_values(std::vector<Value>& values, const DataSet& set, int side) {
  const std::vector<Window> rows = windows(set.height, side), columns = windows(set.width, side);
  const int channels = set.channels;
  std::vector<Value> out;
  out.reserve(static_cast<std::size_t>(set.rows) * side * side * channels);
  for (std::int64_t image = 0; image < set.rows; ++image) {
    const Value* in = values.data() + image * set.row_size();
    for (const Window& row : rows) {
      for (const Window& column : columns) {
        for (int c = 0; c < channels; ++c) {
          double sum = 0.0;
          for (std::size_t i = 0; i < row.shares.size(); ++i) {
            for (std::size_t j = 0; j < column.shares.size(); ++j) {
              const std::size_t y = static_cast<std::size_t>(row.first) + i;
              const std::size_t x = static_cast<std::size_t>(column.first) + j;
              sum +=
                  row.shares[i] * column.shares[j] * double(in[(y * set.width + x) * channels + c]);
            }
          }
          out.push_back(stored(sum, Value{}));
        }
      }
    }
  }
  values = std::move(out);
}

template <class Value>
void grey_values(std::vector<Value>& values) {
  constexpr double kShares[] = {0.299, 0.587, 0.114};
  for (std::size_t i = 0; i < values.size() / 3; ++i) {
    double sum = 0.0;
    for (std::size_t c = 0; c < 3; ++c) sum += kShares[c] * double(values[3 * i + c]);
    values[i] = stored(sum, Value{});
  }
  values.resize(values.size() / 3);
}

/// Moves the rows in `kept` to the front, in their order.
template <class Value>
void keep_rows(std::vector<Value>& values, const std::vector<std::int64_t>& kept,
               std::int64_t width) {
  if (values.empty()) return;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    std::copy_n(values.begin() + kept[i] * width, width,
                values.begin() + static_cast<std::int64_t>(i) * width);
  }
  values.resize(kept.size() * static_cast<std::size_t>(width));
}

}  // namespace

void check_rows(const DataSet& set) {
  const auto bad = [&](const std::string& cause) {
    throw Error(Status::kBadData, fmt::format("{}: {}", set.source, cause));
  };
  const std::size_t inputs = std::max(set.bytes.size(), set.values.size());
  if (set.rows == 0 || set.row_size() == 0) bad("it has no rows");
  if (inputs != static_cast<std::size_t>(set.rows) * static_cast<std::size_t>(set.row_size())) {
    bad(fmt::format("{} input values for {} rows of {}", inputs, set.rows, shape_text(set)));
  }
  if (set.classes > 0 && set.labels.size() != static_cast<std::size_t>(set.rows)) {
    bad(fmt::format("{} labels for {} rows", set.labels.size(), set.rows));
  }
  if (set.target_size > 0 &&
      set.targets.size() != static_cast<std::size_t>(set.rows) * set.target_size) {
    bad(fmt::format("{} target values for {} rows of {}", set.targets.size(), set.rows,
                    set.target_size));
  }
  const auto wrong = std::find_if(set.labels.begin(), set.labels.end(),
                                  [&](std::uint16_t label) { return label >= set.classes; });
  if (wrong != set.labels.end()) {
    bad(fmt::format("label {} of row {} is not one of 0..{}", *wrong, wrong - set.labels.begin(),
                    set.classes - 1));
  }
  for (const std::vector<float>* values : {&set.values, &set.targets}) {
    if (!std::all_of(values->begin(), values->end(), [](float x) { return std::isfinite(x); })) {
      bad(values == &set.values ? "its inputs contain a non-finite value"
                                : "its targets contain a non-finite value");
    }
  }
}

void keep_classes(DataSet& set, const DataTransform& transform) {
  if (transform.classes.empty()) return;
  if (set.classes == 0) refuse("classes", set, "it has no labels");
  std::vector<int> number(static_cast<std::size_t>(set.classes), -1);
  for (std::size_t i = 0; i < transform.classes.size(); ++i) {
    const int label = transform.classes[i];
    if (label < 0 || label >= set.classes) {
      refuse("classes", set,
             fmt::format("there is no class {}; its labels are 0..{}", label, set.classes - 1));
    }
    int& place = number[static_cast<std::size_t>(label)];
    if (place >= 0) refuse("classes", set, fmt::format("class {} is listed twice", label));
    place = static_cast<int>(i);
  }
  std::vector<std::int64_t> kept;
  for (std::int64_t row = 0; row < set.rows; ++row) {
    const int renumbered = number[set.labels[static_cast<std::size_t>(row)]];
    if (renumbered < 0) continue;
    set.labels[kept.size()] = static_cast<std::uint16_t>(renumbered);
    kept.push_back(row);
  }
  if (kept.empty()) refuse("classes", set, "no row belongs to one of these classes");
  keep_rows(set.bytes, kept, set.row_size());
  keep_rows(set.values, kept, set.row_size());
  keep_rows(set.targets, kept, set.target_size);
  set.labels.resize(kept.size());
  set.rows = static_cast<std::int64_t>(kept.size());
  set.classes = static_cast<int>(transform.classes.size());
}

void to_grey(DataSet& set, const DataTransform& transform) {
  if (!transform.grey) return;
  if (set.channels != 3) {
    refuse("grey", set, fmt::format("its rows are {}; expected three channels", shape_text(set)));
  }
  grey_values(set.bytes);
  grey_values(set.values);
  set.channels = 1;
}

void shrink(DataSet& set, const DataTransform& transform) {
  if (transform.resize == 0) return;
  const int side = transform.resize;
  if (side > std::min(set.height, set.width)) {
    refuse("resize", set,
           fmt::format("its rows are {}; expected images of at least {} x {}", shape_text(set),
                       side, side));
  }
  if (set.bytes.empty()) {
    shrink_values(set.values, set, side);
  } else {
    shrink_values(set.bytes, set, side);
  }
  set.height = set.width = side;
}

void standardise(DataSet& set, const DataSet& training) {
  const auto channels = static_cast<std::size_t>(training.channels);
  const bool has_bytes = !training.bytes.empty();
  const std::size_t count = std::max(training.bytes.size(), training.values.size());
  const auto value = [&](std::size_t i) {
    const double x = has_bytes ? training.bytes[i] : double{training.values[i]};
    return x * double{training.scale[i % channels]};
  };
  std::vector<double> sums(channels), squares(channels);
  for (std::size_t i = 0; i < count; ++i) sums[i % channels] += value(i);
  const double of_channel = static_cast<double>(count) / static_cast<double>(channels);
  for (std::size_t i = 0; i < count; ++i) {
    const double distance = value(i) - sums[i % channels] / of_channel;
    squares[i % channels] += distance * distance;
  }
  for (std::size_t c = 0; c < channels; ++c) {
    const double deviation = std::sqrt(squares[c] / of_channel);
    if (deviation == 0.0) refuse("standardise", set, fmt::format("channel {} is constant", c));
    set.scale[c] = static_cast<float>(double{set.scale[c]} / deviation);
    set.shift[c] = static_cast<float>(-sums[c] / of_channel / deviation);
  }
}

}  // namespace l2o
