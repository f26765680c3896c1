#include "tests/emulation/guarded_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace l2o::emulation {
namespace {

std::size_t whole(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

bool all_poison(const std::byte* begin, const std::byte* end) {
  return std::all_of(begin, end, [](std::byte value) {
    return value == static_cast<std::byte>(GuardedMemory::kPoison);
  });
}

}  // namespace

GuardedMemory::GuardedMemory(std::size_t bytes, std::size_t alignment)
    : page_bytes_(whole(bytes + alignment, page_size())), bytes_(bytes) {
  void* const mapping = mmap(nullptr, page_bytes_ + 2 * page_size(), PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  pages_ = static_cast<std::byte*>(mapping) + page_size();
  if (mprotect(pages_, page_bytes_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  begin_ = fence() - whole(bytes, alignment);
  std::memset(pages_, kPoison, page_bytes_);
}

GuardedMemory::~GuardedMemory() {
  // Replacing the mapping releases the memory and keeps the addresses.
  (void)mmap(pages_, page_bytes_, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void GuardedMemory::poison() const { std::memset(begin_, kPoison, bytes_); }

bool GuardedMemory::margins_are_intact() const {
  const auto before = std::min(kMargin, static_cast<std::size_t>(begin_ - pages_));
  const auto behind = std::min(kMargin, static_cast<std::size_t>(fence() - end()));
  return all_poison(begin_ - before, begin_) && all_poison(end(), end() + behind);
}

}  // namespace l2o::emulation
