#include "host/backend/host_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>

namespace l2o {
namespace {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

std::size_t installed_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return 0;
  return static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes);
}

}  // namespace

std::size_t usable_memory() {
  return std::min(installed_memory(), control_group_limit("/sys/fs/cgroup", "/proc/self/cgroup"));
}

std::size_t control_group_limit(const std::string& groups, const std::string& membership) {
  std::string group;  // "/a/b" from the line "0::/a/b"; version 1 lines have other numbers
  std::ifstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0::/")) group = line.substr(3);
  }
  std::size_t limit = kNoLimit;
  for (;; group.resize(group.rfind('/'))) {
    std::size_t own = 0;  // the file contains "max" if there is no limit
    if (std::ifstream(groups + group + "/memory.max") >> own) limit = std::min(limit, own);
    if (group.empty()) return limit;
  }
}

void* HostMemory::allocate(std::size_t bytes) {
  const std::size_t limit = limit_ == 0 ? kNoLimit - kHugePage : limit_;
  return account_.take(bytes, limit, limit_, [&]() -> void* {
    const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
    const std::size_t rounded =
        (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
    void* const memory = std::aligned_alloc(alignment, rounded);
    // Fewer page faults and TLB misses; the system may ignore this advice.
    if (memory != nullptr && alignment == kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
  });
}

void HostMemory::release(void* memory) noexcept { account_.release(memory, std::free); }

}  // namespace l2o
