// An independent implementation of the checksum of a model file, with which a test can forge a file
// as a hostile author would.
#pragma once

#include <fmt/format.h>
#include <xxhash.h>

#include <cstdint>
#include <string>

#include "host/core/safetensors.h"

namespace l2o {

/// XXH64 over length and bytes of every key, value, name, shape and tensor except the checksum.
inline std::string model_checksum(const Safetensors& content) {
  std::string bytes;
  const auto add = [&](const void* data, std::uint64_t size) {
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes.append(static_cast<const char*>(data), size);
  };
  for (const auto& [key, value] : content.metadata) {
    if (key == "checksum") continue;
    add(key.data(), key.size());
    add(value.data(), value.size());
  }
  for (const auto& [name, tensor] : content.tensors) {
    add(name.data(), name.size());
    add(tensor.shape.data(), tensor.shape.size() * sizeof(std::int64_t));
    add(tensor.values.data(), tensor.values.size() * sizeof(float));
  }
  return fmt::format("xxh64:{:016x}", XXH64(bytes.data(), bytes.size(), 0));
}

}  // namespace l2o
