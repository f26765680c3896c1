// What a backend has taken of its memory: blocks, their sum, and the limit that it keeps.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "host/core/error.h"

namespace l2o {

/// May be used by several threads: what was made in a context may be destroyed by any of them.
class MemoryAccount {
 public:
  /// allocate() -> void*, null where there is no such block, is called where `bytes` fit into
  /// `limit` beside the rest. Throws kOutOfMemory; `stated_limit` is the limit as users know it.
  template <class Allocate>
  void* take(std::size_t bytes, std::size_t limit, std::size_t stated_limit,
             const Allocate& allocate) {
    const std::lock_guard lock(mutex_);
    void* const memory = bytes > limit - std::min(limit, in_use()) ? nullptr : allocate();
    if (memory == nullptr) {
      throw Error(Status::kOutOfMemory, "out of memory: " + std::to_string(bytes) +
                                            " bytes are asked for, " + std::to_string(in_use()) +
                                            " are in use, of " + std::to_string(stated_limit));
    }
    sizes_[memory] = bytes;
    in_use_ += bytes;
    return memory;
  }

  /// free(memory) gives back a block that was taken.
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
  std::unordered_map<void*, std::size_t> sizes_;  // bytes asked for, of the blocks that are taken
  std::atomic<std::size_t> in_use_{0};            // their sum
};

}  // namespace l2o
