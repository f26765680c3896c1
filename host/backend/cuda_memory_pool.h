// The GPU memory allocated by this process.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>

namespace l2o {

/// One pool per GPU, shared by all backends on it. Released memory stays in the pool, where it can
/// be reused at no cost, until the last backend is closed or an allocation exceeds the remaining
/// memory of the GPU. A separate pool, because other users of the device's default pool rely on its
/// settings.
class CudaMemoryPool {
 public:
  /// Opens the pool if necessary. Throws cuda::CudaError.
  static std::shared_ptr<CudaMemoryPool> of_device(int number);

  ~CudaMemoryPool();
  CudaMemoryPool(const CudaMemoryPool&) = delete;
  CudaMemoryPool& operator=(const CudaMemoryPool&) = delete;

  /// Returns null if the GPU has no such block. Throws cuda::CudaError.
  void* take(std::size_t bytes, cudaStream_t stream);
  /// Work already queued on `stream` may still use the memory; nothing else may.
  void release(void* memory, cudaStream_t stream) noexcept;

 private:
  explicit CudaMemoryPool(int number);

  cudaMemPool_t pool_ = nullptr;
};

}  // namespace l2o
