// IDX files, plain and compressed, of labels (1 dimension) and of images (3).
#include "host/data/idx.h"

#include <cstdint>
#include <stdexcept>
#include <string>

#include "host/core/error.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

void read_and_check(const std::string& path, int dimensions) {
  const IdxArray array = read_idx(path, dimensions);
  std::uint64_t size = 1;
  for (const std::int64_t extent : array.shape) size *= static_cast<std::uint64_t>(extent);
  if (array.shape.size() != static_cast<std::size_t>(dimensions) || array.values.size() != size) {
    throw std::logic_error("the shape of the array does not match its values");
  }
}

}  // namespace

void read_input(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  try {
    read_and_check(file.path(), 3);
    return;
  } catch (const Error&) {
    // It may still be labels.
  }
  read_and_check(file.path(), 1);
}

}  // namespace l2o
