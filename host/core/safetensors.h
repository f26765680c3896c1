// The safetensors container (github.com/huggingface/safetensors): 8 bytes header length,
// little-endian; a JSON header, padded with spaces to 8 bytes; the tensors' bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace l2o {

struct Tensor {
  std::vector<std::int64_t> shape;  ///< every extent > 0
  std::vector<float> values;        ///< row-major

  bool operator==(const Tensor&) const = default;
};

struct Safetensors {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;

  bool operator==(const Safetensors&) const = default;
};

/// Longest header that is written or read; bounds the cost of a hostile header.
inline constexpr std::size_t kMaxSafetensorsHeader = std::size_t{1} << 20;

/// Throws kUsage if the metadata is not UTF-8 or the header would be too long.
std::vector<std::byte> write_safetensors(const Safetensors& content);

/// A view of a tensor of any dtype in the bytes of its file.
struct TensorView {
  std::string dtype;                ///< "F32", "U8", "I64", ...
  std::vector<std::int64_t> shape;  ///< every extent > 0
  std::span<const std::byte> bytes;
};

/// Returns the tensors by name. Throws kBadData naming `source_name` and the cause; every byte must
/// be accounted for.
std::map<std::string, TensorView> view_safetensors(std::span<const std::byte> bytes,
                                                   const std::string& source_name);

/// The same with the metadata, for float32 tensors only.
Safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& source_name);

}  // namespace l2o
