// Makes safetensors for tests, with tensors of any type.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace l2o::test {

/// The name of a type in the header of safetensors.
template <class Value>
constexpr const char* safetensors_dtype() {
  if constexpr (std::is_same_v<Value, float>) {
    return "F32";
  } else if constexpr (std::is_same_v<Value, double>) {
    return "F64";
  } else {
    static_assert(std::is_integral_v<Value> && sizeof(Value) <= 8 && !std::is_same_v<Value, bool> &&
                      !std::is_same_v<Value, char>,
                  "not a type of safetensors");
    constexpr const char* kSigned[] = {"I8", "I16", "I32", "I64"};
    constexpr const char* kUnsigned[] = {"U8", "U16", "U32", "U64"};
    constexpr int kIndex = std::countr_zero(sizeof(Value));
    return std::is_signed_v<Value> ? kSigned[kIndex] : kUnsigned[kIndex];
  }
}

/// The content of a safetensors file, tensor by tensor. It is deliberately independent of the
/// engine's writer, which has only float32.
class SafetensorsBuilder {
 public:
  /// Appends a tensor. Throws std::invalid_argument if the shape contradicts the values, a mistake
  /// in the test: damaged files are made by changing bytes().
  template <class Value>
  void add(const std::string& name, const std::vector<std::int64_t>& shape,
           const std::vector<Value>& values) {
    std::size_t size = 1;
    for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
    if (size != values.size()) throw std::invalid_argument("the shape of " + name + " is wrong");
    const std::size_t begin = data_.size();
    data_.resize(begin + values.size() * sizeof(Value));
    if (!values.empty()) {
      std::memcpy(data_.data() + begin, values.data(), values.size() * sizeof(Value));
    }
    header_ += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                           header_.empty() ? "" : ",", name, safetensors_dtype<Value>(),
                           fmt::join(shape, ","), begin, data_.size());
  }

  /// The file: the length of the header, the header and the values.
  std::vector<std::byte> bytes() const {
    const std::string header = "{" + header_ + "}";
    const std::uint64_t length = header.size();
    std::vector<std::byte> bytes(sizeof(length) + header.size() + data_.size());
    std::memcpy(bytes.data(), &length, sizeof(length));
    std::memcpy(bytes.data() + sizeof(length), header.data(), header.size());
    std::copy(data_.begin(), data_.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(sizeof(length) + header.size()));
    return bytes;
  }

 private:
  std::string header_;
  std::vector<std::byte> data_;
};

}  // namespace l2o::test
