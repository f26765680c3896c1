// Memory of the emulated runtime: pools and copies.
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/runtime.h"

/// A released block stays in the pool and is reused for allocations that fit into it; its memory is
/// unavailable to others until the pool is trimmed or destroyed. A real GPU may do better.
struct CUmemPoolHandle_st {
  std::uint64_t release_threshold = 0;
  std::multiset<std::size_t> kept = {};  // sizes of the blocks
};

namespace {

struct Block {
  cudaMemPool_t pool = nullptr;  // null: none, or destroyed
  std::size_t bytes = 0;
};
std::mutex mutex;
std::map<void*, Block> blocks;  // allocated from pools

void drop_kept(CUmemPoolHandle_st& pool) {
  for (const std::size_t bytes : pool.kept) l2o::emulation::unreserve_device_memory(bytes);
  pool.kept.clear();
}

}  // namespace

using l2o::emulation::break_capture;
using l2o::emulation::enqueue;
using l2o::emulation::is_captured;
using l2o::emulation::is_device_memory;
using l2o::emulation::is_host_memory;
using l2o::emulation::require_device;
using l2o::emulation::result;

// ------------------------------------------------------------------------------------------ pools

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  if (properties->allocType != cudaMemAllocationTypePinned) return result(cudaErrorInvalidValue);
  *pool = std::make_unique<CUmemPoolHandle_st>().release();
  return require_device(properties->location.id);
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  const std::lock_guard lock(mutex);
  const std::unique_ptr<CUmemPoolHandle_st> owned(pool);
  drop_kept(*pool);
  for (auto& [memory, block] : blocks) {
    if (block.pool == pool) block.pool = nullptr;
  }
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (attribute != cudaMemPoolAttrReleaseThreshold) return result(cudaErrorInvalidValue);
  pool->release_threshold = *static_cast<std::uint64_t*>(value);
  return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, std::size_t least_bytes) {
  if (least_bytes != 0) return result(cudaErrorInvalidValue);  // the engine releases everything
  const std::lock_guard lock(mutex);
  drop_kept(*pool);
  return result(cudaSuccess);
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  if (is_captured(stream)) return break_capture(stream);
  if (bytes == 0) return result(cudaErrorInvalidValue);
  *memory = l2o::emulation::allocate_device_memory(bytes);
  return result(*memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaMallocFromPoolAsync(void** memory, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  if (pool == nullptr) return result(cudaErrorInvalidValue);
  const std::lock_guard lock(mutex);
  const auto found = pool->kept.lower_bound(bytes);
  const std::size_t block_bytes = found == pool->kept.end() ? bytes : *found;
  if (found != pool->kept.end()) {
    pool->kept.erase(found);
    l2o::emulation::unreserve_device_memory(block_bytes);
  }
  const cudaError_t code = cudaMallocAsync(memory, bytes, stream);
  if (code != cudaSuccess) return code;
  l2o::emulation::reserve_device_memory(block_bytes - bytes);
  blocks[*memory] = {pool, block_bytes};
  return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  if (is_captured(stream)) return break_capture(stream);
  if (memory == nullptr) return cudaSuccess;
  const std::lock_guard lock(mutex);
  // On a GPU, this error is easily overlooked; an exception is not.
  const std::size_t bytes = l2o::emulation::free_device_memory(memory);
  if (bytes == 0) {
    throw l2o::emulation::EmulationFault("cudaFreeAsync: no allocation begins at this address");
  }
  const auto found = blocks.find(memory);
  if (found != blocks.end()) {
    const Block block = found->second;
    blocks.erase(found);
    l2o::emulation::unreserve_device_memory(block.bytes - bytes);
    if (block.pool != nullptr && block.pool->release_threshold > 0) {
      block.pool->kept.insert(block.bytes);
      l2o::emulation::reserve_device_memory(block.bytes);
    }
  }
  return result(cudaSuccess);
}

// ----------------------------------------------------------------------------------------- copies

cudaError_t cudaMemcpyAsync(void* destination, const void* source, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
  const bool to_host = kind == cudaMemcpyDeviceToHost, from_host = kind == cudaMemcpyHostToDevice;
  const bool good_destination =
      to_host ? is_host_memory(destination) : is_device_memory(destination, bytes);
  const bool good_source = from_host ? is_host_memory(source) : is_device_memory(source, bytes);
  if (!good_destination || !good_source) return result(cudaErrorInvalidValue);
  if (is_captured(stream) && (to_host || from_host)) return break_capture(stream);
  enqueue(stream, [=] { std::memmove(destination, source, bytes); });
  return result(cudaSuccess);
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  if (!is_device_memory(memory, bytes)) return result(cudaErrorInvalidValue);
  enqueue(stream, [=] { std::memset(memory, value, bytes); });
  return result(cudaSuccess);
}
