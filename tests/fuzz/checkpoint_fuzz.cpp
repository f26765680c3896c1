// Training checkpoints. Most mutations break the checksum, so each input is also read with a
// corrected one: the code after that check must be robust by itself.
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "host/core/error.h"
#include "host/engine/training_checkpoint.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

/// A checkpoint that can be read must serialize to the same bytes: nothing is invented or lost.
void parse_and_compare(std::span<const std::byte> bytes) {
  const auto checkpoint = parse_training_checkpoint(bytes, "input");
  const auto again =
      must_succeed("serializing a parsed checkpoint", [&] { return serialize(checkpoint); });
  if (!std::ranges::equal(again, bytes)) {
    throw std::logic_error("serializing a parsed checkpoint gives different bytes");
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
      // The original bytes decide, below.
    }
  }
  parse_and_compare(bytes);
}

}  // namespace l2o
