// Reusable stacks for fibers.
#pragma once

#include <cstddef>
#include <vector>

namespace l2o::emulation {

class FiberStacks {
 public:
  static constexpr std::size_t kUsableBytes = 256 << 10;  // memory is committed on first use

  FiberStacks() = default;
  ~FiberStacks();
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;

  /// Returns the upper end of a stack.
  std::byte* take();
  void give_back(std::byte* top) { free_.push_back(top); }
  void take_all_back() { free_ = tops_; }
  /// Whether the address is in an inaccessible page below a stack.
  bool overflows_into(const void* address) const;

 private:
  std::vector<std::byte*> mappings_;
  std::vector<std::byte*> tops_, free_;
};

}  // namespace l2o::emulation
