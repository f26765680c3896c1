#include "host/backend/cuda_memory_pool.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>

#include "kernels/cuda/device.h"

namespace l2o {

using cuda::check;

std::shared_ptr<CudaMemoryPool> CudaMemoryPool::of_device(int number) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<CudaMemoryPool>> open;
  const std::lock_guard lock(mutex);
  std::shared_ptr<CudaMemoryPool> pool = open[number].lock();
  if (!pool) {
    pool.reset(new CudaMemoryPool(number));
    open[number] = pool;
  }
  return pool;
}

CudaMemoryPool::CudaMemoryPool(int number) {
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = number;
  check(cudaMemPoolCreate(&pool_, &properties), "the memory pool");
  std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();
  const cudaError_t code = cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep);
  if (code != cudaSuccess) cudaMemPoolDestroy(pool_);
  check(code, "the memory pool");
}

CudaMemoryPool::~CudaMemoryPool() {
  cudaMemPoolDestroy(pool_);  // takes effect after the queued work
  cudaGetLastError();
}

void* CudaMemoryPool::take(std::size_t bytes, cudaStream_t stream) {
  void* memory = nullptr;
  const auto try_to_take = [&] {
    const cudaError_t code =
        cudaMallocFromPoolAsync(&memory, std::max<std::size_t>(bytes, 1), pool_, stream);
    if (code == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // do not report it in the next call
      return false;
    }
    check(code, "allocating memory");
    return true;
  };
  if (try_to_take()) return memory;
  // Released memory may be fragmented into pieces that are too small. The GPU can merge them after
  // they are returned to it.
  check(cudaStreamSynchronize(stream), "waiting for the device");
  check(cudaMemPoolTrimTo(pool_, 0), "the memory pool");
  return try_to_take() ? memory : nullptr;
}

void CudaMemoryPool::release(void* memory, cudaStream_t stream) noexcept {
  cudaFreeAsync(memory, stream);
  cudaGetLastError();
}

}  // namespace l2o
