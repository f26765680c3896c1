#include "tests/emulation/fiber_stacks.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace l2o::emulation {
namespace {

constexpr std::size_t kGuardBytes = 64 << 10;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMappingBytes = kGuardBytes + FiberStacks::kUsableBytes + kPage;

/// If all stacks started at the same offset in a page, they would share the same few cache lines.
std::size_t offset_of(std::size_t number) { return number * 1088 % kPage; }

}  // namespace

FiberStacks::~FiberStacks() {
  for (std::byte* mapping : mappings_) munmap(mapping, kMappingBytes);
}

std::byte* FiberStacks::take() {
  if (free_.empty()) {
    void* const mapping = mmap(nullptr, kMappingBytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping, kGuardBytes, PROT_NONE) != 0) {
      throw std::bad_alloc();
    }
    mappings_.push_back(static_cast<std::byte*>(mapping));
    tops_.push_back(mappings_.back() + kMappingBytes - offset_of(tops_.size()));
    return tops_.back();
  }
  std::byte* const top = free_.back();
  free_.pop_back();
  return top;
}

bool FiberStacks::overflows_into(const void* address) const {
  return std::any_of(mappings_.begin(), mappings_.end(), [&](const std::byte* mapping) {
    return address >= mapping && address < mapping + kGuardBytes;
  });
}

}  // namespace l2o::emulation
