// Ops that a GPU has recorded, to repeat them at the cost of one launch.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <mutex>

#include "host/backend/backend.h"
#include "kernels/cuda/device.h"

namespace l2o {

/// Held while ops are captured, and around what waits for a whole device, as cuBLAS does when it is
/// opened and closed: that would end a capture of any other thread.
inline std::mutex& capture_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// Ops that are captured from a stream as a graph; none at first.
class CudaRecording final : public Recording {
 public:
  CudaRecording() = default;
  ~CudaRecording() override {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  }
  CudaRecording(const CudaRecording&) = delete;
  CudaRecording& operator=(const CudaRecording&) = delete;

  bool is_empty() const { return executable_ == nullptr; }

  /// Takes what `work` queues on `stream`, on which nothing runs meanwhile. Stays empty where
  /// somebody else in the process ended the capture by waiting for the device.
  void capture(cudaStream_t stream, const std::function<void()>& work) {
    const std::lock_guard lock(capture_mutex());
    cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording");
    cudaGraph_t graph = nullptr;
    try {
      work();
    } catch (...) {
      const bool is_whole = cudaStreamEndCapture(stream, &graph) == cudaSuccess;
      if (is_whole) cudaGraphDestroy(graph);
      cudaGetLastError();  // it is not the next call's error
      if (is_whole) throw;
      return;
    }
    if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) {
      if (cudaGraphInstantiate(&executable_, graph, 0) != cudaSuccess) executable_ = nullptr;
      cudaGraphDestroy(graph);
    }
    cudaGetLastError();
  }

  void launch(cudaStream_t stream) const {
    cuda::check(cudaGraphLaunch(executable_, stream), "a graph");
  }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace l2o
