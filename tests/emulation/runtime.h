// Shared by the parts of the emulated runtime: errors and streams.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <memory>
#include <vector>

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUstream_st {
  std::unique_ptr<CUgraph_st> captured;  ///< null: queued work runs
  bool capture_is_broken = false;
};

namespace l2o::emulation {

/// Returns `code` and makes it available to cudaGetLastError(); if the device is corrupted, always
/// returns the error that corrupted it.
cudaError_t result(cudaError_t code);

bool is_default(cudaStream_t stream);
bool is_captured(cudaStream_t stream);
/// Called for work that waits for the device or for host memory: it cannot be recorded, and ends
/// the recording.
cudaError_t break_capture(cudaStream_t stream);

cudaError_t device_exists(int device);

}  // namespace l2o::emulation
