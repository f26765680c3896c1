// Data sets as safetensors, both splits.
#include <stdexcept>

#include "host/core/error.h"
#include "host/data/readers.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

void read_and_check(const std::string& path, Split split, bool channels_first) {
  const DataSet set =
      read_safetensors_set({.name = path, .split = split, .channels_first = channels_first});
  const auto values = static_cast<std::size_t>(set.rows) * static_cast<std::size_t>(set.row_size());
  if (set.bytes.size() + set.values.size() != values) {
    throw std::logic_error("the shape of the set does not match its values");
  }
}

}  // namespace

void read_input(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  for (const Split split : {Split::kTest, Split::kTrain}) {
    try {
      read_and_check(file.path(), split, true);
    } catch (const Error&) {
      // It may still be valid in its original order.
    }
  }
  read_and_check(file.path(), Split::kTrain, false);
}

}  // namespace l2o
