// Accounting of a backend's memory: allocated blocks, their total size, and the limit.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "host/core/error.h"

namespace l2o {

/// Thread-safe: objects that were created in a context may be destroyed by any thread.
class MemoryAccount {
 public:
  /// Calls allocate() -> void*, null on failure, if `bytes` fit into `limit` along with the blocks
  /// in use. Throws kOutOfMemory on failure; `stated_limit` is the limit to report to users.
  template <class Allocate>
  void* take(std::size_t bytes, std::size_t limit, std::size_t stated_limit,
             const Allocate& allocate) {
    const std::lock_guard lock(mutex_);
    void* const memory = bytes > limit - std::min(limit, in_use()) ? nullptr : allocate();
    if (memory == nullptr) {
      throw Error(Status::kOutOfMemory, "out of memory: " + std::to_string(bytes) +
                                            " bytes requested, " + std::to_string(in_use()) +
                                            " of " + std::to_string(stated_limit) + " in use");
    }
    sizes_[memory] = bytes;
    in_use_ += bytes;
    return memory;
  }

  /// Releases an allocated block with free(memory).
  template <class Free>
  void release(void* memory, const Free& free) noexcept {
    const std::lock_guard lock(mutex_);
    const auto block = sizes_.find(memory);
    in_use_ -= block->second;
    sizes_.erase(block);
    free(memory);
  }

  std::size_t in_use() const { return in_use_.load(); }

 private:
  std::mutex mutex_;
  std::unordered_map<void*, std::size_t> sizes_;  // requested bytes of each allocated block
  std::atomic<std::size_t> in_use_{0};            // their sum
};

}  // namespace l2o
