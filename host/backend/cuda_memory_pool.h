// The memory of a GPU that this process has taken.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>

namespace l2o {

/// One pool a GPU, which all backends on it share. Memory that is released stays in it, so that it
/// is taken again at no cost, until the last backend is closed, or until somebody asks for more
/// than the GPU has beside it. A pool of our own, because other users of the device's default one
/// count on its rules.
class CudaMemoryPool {
 public:
  /// Opened if it is not open yet. Throws cuda::CudaError.
  static std::shared_ptr<CudaMemoryPool> of_device(int number);

  ~CudaMemoryPool();
  CudaMemoryPool(const CudaMemoryPool&) = delete;
  CudaMemoryPool& operator=(const CudaMemoryPool&) = delete;

  /// Null where the GPU has no such block. Throws cuda::CudaError.
  void* take(std::size_t bytes, cudaStream_t stream);
  /// What `stream` does until then may still use the memory; nothing else may.
  void release(void* memory, cudaStream_t stream) noexcept;

 private:
  explicit CudaMemoryPool(int number);

  cudaMemPool_t pool_ = nullptr;
};

}  // namespace l2o
