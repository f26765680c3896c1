// Owning buffer of `size` elements in backend memory.
#pragma once

#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "host/backend/backend.h"
#include "host/core/error.h"

namespace l2o {

template <class T>
class Buffer {
 public:
  Buffer() = default;
  /// Allocates uninitialized memory. Throws kOutOfMemory if `size` elements do not fit.
  Buffer(Backend& backend, std::size_t size) : backend_(&backend), size_(size) {
    if (size > std::numeric_limits<std::size_t>::max() / sizeof(T)) {
      throw Error(Status::kOutOfMemory,
                  "a buffer of " + std::to_string(size) + " elements exceeds the address space");
    }
    data_ = static_cast<T*>(backend.allocate(size * sizeof(T)));
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) backend_->release(data_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }

  void upload(const std::vector<T>& host) {
    if (host.size() != size_) throw Error(Status::kInternal, "upload size differs from the buffer");
    backend_->upload(data_, host.data(), bytes());
  }
  std::vector<T> download() const {
    std::vector<T> host(size_);
    backend_->download(host.data(), data_, bytes());
    return host;
  }
  void fill_zero() { backend_->fill_zero(data_, bytes()); }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  Backend* backend_ = nullptr;
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace l2o
