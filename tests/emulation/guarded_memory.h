// Memory between pages that nobody may touch, filled with NaN: an access behind its end stops the
// program, and what was never written shows.
#pragma once

#include <cstddef>
#include <string>

namespace l2o::emulation {

class GuardedMemory {
 public:
  /// What it is filled with: a NaN in every format of floats.
  static constexpr int kPoison = 0xFF;

  /// Ends at a forbidden page, but for the rounding of its size to whole `alignment` bytes.
  GuardedMemory(std::size_t bytes, std::size_t alignment);
  /// The memory becomes forbidden; its addresses are never used again.
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* begin() const { return begin_; }
  std::byte* end() const { return begin_ + bytes_; }
  std::size_t bytes() const { return bytes_; }
  /// Where the forbidden page behind it begins.
  std::byte* fence() const { return pages_ + page_bytes_; }

  void poison() const;
  /// Whether the bytes up to the forbidden pages were left alone, at most kMargin on each side.
  bool margins_are_intact() const;

 private:
  static constexpr std::size_t kMargin = 64;

  std::byte* pages_;  // between two forbidden ones
  std::size_t page_bytes_;
  std::byte* begin_;
  std::size_t bytes_;
};

}  // namespace l2o::emulation
