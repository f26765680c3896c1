// Runs kernels: the threads of a block are fibers of one CPU thread; blocks run one at a time.
// device.cuh is built on this.
//
// A fiber yields only when its thread waits for others: in a barrier or in a warp function. The
// next fiber is drawn using Settings::seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace l2o::emulation {

struct GridShape {
  std::int64_t blocks;
  int threads;  ///< per block
  std::size_t shared_bytes;
};

/// Runs `thread_body` once as each thread. Throws EmulationFault, naming the error, the block and
/// the thread of the kernel `name`; all threads then end where they are, without running
/// destructors.
void run_grid(const char* name, const GridShape& shape, const std::function<void()>& thread_body);

// ------------------------------------------------------------------ for the thread that is running

struct RunningThread {
  int index, block_threads, block, block_count;
  std::byte* shared_memory;
  std::size_t shared_bytes;
};
extern RunningThread running;

/// Source location of a call in a kernel.
struct Place {
  const char* file;
  int line;
  /// As a default argument: the location of the call.
  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

/// Ends the launch.
[[noreturn]] void fail(const std::string& what);

/// A barrier for all threads of the block, each of which must reach it at the same place.
void wait_for_block(const Place& place);

inline constexpr int kWarpLanes = 32;
/// Computes the results of a warp function from the operands of its lanes, in place.
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
/// Fails unless all of [address, address + bytes) is in the block's shared memory.
void require_shared(const void* address, std::size_t bytes, const char* function);

/// Fails if the address is in shared memory.
inline void require_not_shared(const void* address, const char* function) {
  if (address >= running.shared_memory && address < running.shared_memory + running.shared_bytes) {
    fail(std::string(function) + ": in shared memory");
  }
}

}  // namespace l2o::emulation
