// Training checkpoints. Of most changed ones the checksum already is wrong, so each is read a
// second time with a right one: what lies behind that check must hold on its own.
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "host/core/error.h"
#include "host/engine/training_checkpoint.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

/// A checkpoint that is read must be written again as the same bytes: nothing was made up or lost.
void parse_and_compare(std::span<const std::byte> bytes) {
  if (!std::ranges::equal(serialize(parse_training_checkpoint(bytes, "input")), bytes)) {
    throw std::logic_error("a checkpoint reads as another one");
  }
}

}  // namespace

void read_input(std::span<const std::byte> bytes) {
  constexpr std::size_t kChecksumBytes = 8;
  if (bytes.size() >= kChecksumBytes) {
    std::vector<std::byte> sealed(bytes.begin(), bytes.end());
    const std::size_t body = bytes.size() - kChecksumBytes;
    const std::uint64_t checksum = XXH64(sealed.data(), body, 0);
    std::memcpy(sealed.data() + body, &checksum, kChecksumBytes);
    try {
      parse_and_compare(sealed);
    } catch (const Error&) {
      // The verdict is that on the bytes as they are, below.
    }
  }
  parse_and_compare(bytes);
}

}  // namespace l2o
