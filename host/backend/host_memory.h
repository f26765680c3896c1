// CPU memory: the amount available to this process, and allocation of blocks.
#pragma once

#include <cstddef>
#include <string>

#include "host/backend/memory_account.h"

namespace l2o {

/// Installed memory in bytes, or the limit of this process's control group if lower; 0 if the
/// system does not report it.
std::size_t usable_memory();

/// The lowest memory.max of a control group (version 2) and its ancestors; `groups` is the mount
/// point of their tree and `membership` a file like /proc/self/cgroup. Returns the largest
/// std::size_t if there is no limit.
std::size_t control_group_limit(const std::string& groups, const std::string& membership);

/// Allocates blocks that together stay within a limit. Linux overcommits memory and kills the
/// process that uses it, so allocations that cannot fit are rejected here, where an error can still
/// be thrown. Thread-safe.
class HostMemory {
 public:
  explicit HostMemory(std::size_t limit) : limit_(limit) {}  ///< in bytes; 0: no limit

  /// Returns memory aligned to at least a cache line. Throws kOutOfMemory.
  void* allocate(std::size_t bytes);
  void release(void* memory) noexcept;
  std::size_t in_use() const { return account_.in_use(); }

 private:
  std::size_t limit_;
  MemoryAccount account_;
};

}  // namespace l2o
