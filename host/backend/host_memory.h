// Memory of the processor: how much of it there is for this process, and blocks of it.
#pragma once

#include <cstddef>
#include <string>

#include "host/backend/memory_account.h"

namespace l2o {

/// Bytes installed, or what the control group of this process allows where that is less; 0 where
/// the system does not say.
std::size_t usable_memory();

/// The lowest memory.max of a control group (version 2) and those above it, `groups` being where
/// their tree is mounted and `membership` a file as /proc/self/cgroup. The largest std::size_t
/// where there is no limit.
std::size_t control_group_limit(const std::string& groups, const std::string& membership);

/// Blocks that together stay within a limit. Linux promises more memory than there is and kills
/// the process that uses it, so what cannot fit is refused here, where an error can still be
/// thrown. May be called by several threads.
class HostMemory {
 public:
  explicit HostMemory(std::size_t limit) : limit_(limit) {}  ///< bytes; 0: none

  /// Aligned to a cache line at least. Throws kOutOfMemory.
  void* allocate(std::size_t bytes);
  void release(void* memory) noexcept;
  std::size_t in_use() const { return account_.in_use(); }

 private:
  std::size_t limit_;
  MemoryAccount account_;
};

}  // namespace l2o
