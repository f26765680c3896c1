// Memory of the emulated GPU for tests, which may access it directly.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <stdexcept>

namespace l2o::emulation {

template <class T>
class GpuMemory {
 public:
  explicit GpuMemory(std::size_t size) : size_(size) {
    void* memory = nullptr;
    if (cudaMallocAsync(&memory, size * sizeof(T), nullptr) != cudaSuccess) {
      throw std::runtime_error("no memory");
    }
    data_ = static_cast<T*>(memory);
  }
  ~GpuMemory() { cudaFreeAsync(data_, nullptr); }
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;

  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T* begin() const { return data_; }
  T* end() const { return data_ + size_; }
  T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

}  // namespace l2o::emulation
