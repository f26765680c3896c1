// Runs kernels: the threads of a block are fibers of one processor thread, blocks run one after
// the other. What device.cuh is made of.
//
// A fiber gives way only where its thread waits for others: in a barrier or in a function of a
// warp. Which one continues is drawn from Settings::seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace l2o::emulation {

struct GridShape {
  std::int64_t blocks;
  int threads;  ///< of a block
  std::size_t shared_bytes;
};

/// Runs `thread_body` once as every thread. Throws EmulationFault, saying what went wrong in which
/// block and thread of the kernel `name`; all threads then end where they are, without destructors.
void run_grid(const char* name, const GridShape& shape, const std::function<void()>& thread_body);

// ------------------------------------------------------------------ for the thread that is running

struct RunningThread {
  int index, block_threads, block, block_count;
  std::byte* shared_memory;
  std::size_t shared_bytes;
};
extern RunningThread running;

/// Where a kernel calls something.
struct Place {
  const char* file;
  int line;
  /// As a default argument: that of the call.
  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

/// Ends the launch.
[[noreturn]] void fail(const std::string& what);

/// A barrier of all threads of the block, each of which must come to this very place.
void wait_for_block(const Place& place);

inline constexpr int kWarpLanes = 32;
/// Computes what a warp's function gives from what its lanes brought, and puts it there.
using WarpFunction = void (*)(void* const (&lanes)[kWarpLanes]);
/// Waits until all lanes of the warp are in this call; the last one runs `function` for all.
void call_together(const char* name, const Place& place, WarpFunction function, void* mine);

/// Fails unless `address` is a multiple of `alignment` bytes.
inline void require_alignment(const void* address, std::size_t alignment, const char* function) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0) {
    fail(std::string(function) + ": misaligned, should be a multiple of " +
         std::to_string(alignment) + " bytes");
  }
}
/// Fails unless all of [address, address + bytes) is the block's shared memory.
void require_shared(const void* address, std::size_t bytes, const char* function);

/// Fails where it is in shared memory.
inline void require_not_shared(const void* address, const char* function) {
  if (address >= running.shared_memory && address < running.shared_memory + running.shared_bytes) {
    fail(std::string(function) + ": in shared memory");
  }
}

}  // namespace l2o::emulation
