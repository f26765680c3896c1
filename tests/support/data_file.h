// Writes data sets as safetensors for tests, with tensors of any type.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace l2o::test {

class DataFile {
 public:
  template <class Value>
  void add(const std::string& name, const std::vector<std::int64_t>& shape,
           const std::vector<Value>& values) {
    const char* dtype = std::is_same_v<Value, float>           ? "F32"
                        : std::is_same_v<Value, double>        ? "F64"
                        : std::is_same_v<Value, std::uint8_t>  ? "U8"
                        : std::is_same_v<Value, std::uint16_t> ? "U16"
                        : std::is_same_v<Value, std::int32_t>  ? "I32"
                                                               : "I64";
    const std::size_t begin = data_.size();
    data_.resize(begin + values.size() * sizeof(Value));
    if (!values.empty()) {
      std::memcpy(data_.data() + begin, values.data(), values.size() * sizeof(Value));
    }
    header_ += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                           header_.empty() ? "" : ",", name, dtype, fmt::join(shape, ","), begin,
                           data_.size());
  }

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
