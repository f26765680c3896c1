// Ops recorded by a GPU for replay at the cost of one launch.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <mutex>

#include "host/backend/backend.h"
#include "kernels/cuda/device.h"

namespace l2o {

/// Held while ops are captured, and around calls that wait for the whole device, such as creating
/// and destroying a cuBLAS handle: these would abort a capture in any other thread.
inline std::mutex& capture_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// Ops captured from a stream as a graph; initially empty.
class CudaRecording final : public Recording {
 public:
  CudaRecording() = default;
  ~CudaRecording() override {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  }
  CudaRecording(const CudaRecording&) = delete;
  CudaRecording& operator=(const CudaRecording&) = delete;

  bool is_empty() const { return executable_ == nullptr; }

  /// Captures the ops that `work` queues on `stream`, which must be idle. Stays empty if other code
  /// in the process aborted the capture by waiting for the device.
  void capture(cudaStream_t stream, const std::function<void()>& work) {
    const std::lock_guard lock(capture_mutex());
    cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording");
    cudaGraph_t graph = nullptr;
    try {
      work();
    } catch (...) {
      const bool is_whole = cudaStreamEndCapture(stream, &graph) == cudaSuccess;
      if (is_whole) cudaGraphDestroy(graph);
      cudaGetLastError();  // do not report it in the next call
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
