// Memory between inaccessible pages, filled with NaN: an access past its end stops the program, and
// reading uninitialized memory has a visible effect.
#pragma once

#include <cstddef>
#include <string>

namespace l2o::emulation {

class GuardedMemory {
 public:
  /// The fill value: NaN in every floating-point format.
  static constexpr int kPoison = 0xFF;

  /// The memory ends at an inaccessible page, except that its size is rounded up to a multiple of
  /// `alignment`.
  GuardedMemory(std::size_t bytes, std::size_t alignment);
  /// The memory becomes inaccessible; its addresses are never reused.
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* begin() const { return begin_; }
  std::byte* end() const { return begin_ + bytes_; }
  std::size_t bytes() const { return bytes_; }
  /// Start of the inaccessible page after it.
  std::byte* fence() const { return pages_ + page_bytes_; }

  void poison() const;
  /// Whether the bytes up to the inaccessible pages are unmodified, at most kMargin on each side.
  bool margins_are_intact() const;

 private:
  static constexpr std::size_t kMargin = 64;

  std::byte* pages_;  // between two inaccessible ones
  std::size_t page_bytes_;
  std::byte* begin_;
  std::size_t bytes_;
};

}  // namespace l2o::emulation
