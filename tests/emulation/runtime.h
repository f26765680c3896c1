// What the parts of the emulated runtime share: errors, and streams.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <memory>
#include <vector>

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUstream_st {
  std::unique_ptr<CUgraph_st> captured;  ///< null: what is queued runs
  bool capture_is_broken = false;
};

namespace l2o::emulation {

/// `code`, which cudaGetLastError() tells as well; of a spoiled device its error, whatever is
/// called.
cudaError_t result(cudaError_t code);

bool is_default(cudaStream_t stream);
bool is_captured(cudaStream_t stream);
/// What waits for the device, or for host memory, cannot be recorded, and ends the recording.
cudaError_t break_capture(cudaStream_t stream);

cudaError_t device_exists(int device);

}  // namespace l2o::emulation
