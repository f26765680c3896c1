// Internals of the emulated runtime, for its own files and for the emulation's launch.cuh, cuBLAS
// and CUB. The host side of the engine sees only shadow/cuda_runtime.h.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>

namespace l2o::emulation {

/// Returns `code` and makes it available to cudaGetLastError(); if the device is corrupted, always
/// returns the error that corrupted it.
cudaError_t result(cudaError_t code);

/// result(cudaErrorInvalidDevice) unless it is the only device, 0.
cudaError_t require_device(int device);

/// Whether the stream is between cudaStreamBeginCapture() and cudaStreamEndCapture(): work is
/// recorded and does not run. False for the default stream.
bool is_captured(cudaStream_t stream);
/// For work on a captured stream that waits for the device or for host memory: it cannot be
/// recorded. Returns the error, and the recording's cudaStreamEndCapture() will fail.
cudaError_t break_capture(cudaStream_t stream);
/// Runs `work` immediately, or records it if the stream is captured.
void enqueue(cudaStream_t stream, std::function<void()> work);

/// Bytes of shared memory that a block of the kernel may have, according to its attributes.
std::size_t allowed_shared_bytes(const void* kernel);

}  // namespace l2o::emulation
