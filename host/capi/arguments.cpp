#include "host/capi/arguments.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "host/core/error.h"

namespace l2o::capi {

void require(const void* pointer, const char* name) {
  if (pointer == nullptr) throw Error(Status::kUsage, fmt::format("{} is NULL", name));
}

void require_values(const void* pointer, std::size_t count, const char* name) {
  if (count > 0) require(pointer, name);
}

void require_count(std::size_t count, std::size_t expected, const char* name) {
  if (count != expected) {
    throw Error(Status::kUsage, fmt::format("{} is {}; expected {}", name, count, expected));
  }
}

void require_finite(const float* values, std::size_t count, const char* name) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) {
      throw Error(Status::kUsage,
                  fmt::format("{}[{}] is {}; expected a finite number", name, i, values[i]));
    }
  }
}

void require_scale(float value, bool positive, const char* name) {
  if (!(std::isfinite(value) && (positive ? value > 0.0F : value >= 0.0F))) {
    throw Error(Status::kUsage, fmt::format("{} is {}; expected a finite number {}", name, value,
                                            positive ? "above 0" : "of at least 0"));
  }
}

std::int64_t to_size(std::size_t count, const char* name) {
  constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max() / sizeof(float);
  if (count > kMost) {
    throw Error(Status::kOutOfMemory,
                fmt::format("{} is {}: that many numbers exceed the address space", name, count));
  }
  return static_cast<std::int64_t>(count);
}

void require_bytes(std::size_t bytes, const char* name) {
  if (bytes > std::numeric_limits<std::ptrdiff_t>::max()) {
    throw Error(Status::kOutOfMemory,
                fmt::format("{} is {}: more than the address space", name, bytes));
  }
}

int to_int(std::size_t count, int min, int max, const char* name) {
  if (count < static_cast<std::size_t>(min) || count > static_cast<std::size_t>(max)) {
    throw Error(Status::kUsage, fmt::format("{} is {}; expected {} to {}", name, count, min, max));
  }
  return static_cast<int>(count);
}

void require_struct_size(std::size_t size, std::size_t expected, const char* name) {
  if (size != expected) {
    throw Error(Status::kUsage,
                fmt::format("{0}.size is {1}; expected {2}: fill it with l2o_{0}_init", name, size,
                            expected));
  }
}

std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

}  // namespace l2o::capi
