// The runtime of the emulated GPU (shadow/cuda_runtime.h), except memory.
#include "tests/emulation/runtime.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tests/emulation/emulation.h"
#include "tests/emulation/injected_failure.h"

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};
struct CUstream_st {
  std::unique_ptr<CUgraph_st> captured;  ///< null: queued work runs
  bool capture_is_broken = false;
};

namespace l2o::emulation {
namespace {

thread_local cudaError_t last_error = cudaSuccess;

bool is_default(cudaStream_t stream) { return stream == nullptr || stream == cudaStreamLegacy; }

CUstream_st& stream_of(cudaStream_t stream) {
  static CUstream_st default_stream;
  return is_default(stream) ? default_stream : *stream;
}

std::mutex shared_bytes_mutex;
std::map<const void*, std::size_t> asked_shared_bytes;  // by kernel

}  // namespace

int graph_launches = 0, function_attributes_set = 0;

cudaError_t result(cudaError_t code) {
  if (device_is_spoiled()) code = cudaErrorIllegalAddress;
  if (code != cudaSuccess) last_error = code;
  return code;
}

cudaError_t require_device(int device) {
  return result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

bool is_captured(cudaStream_t stream) { return stream_of(stream).captured != nullptr; }

cudaError_t break_capture(cudaStream_t stream) {
  stream_of(stream).capture_is_broken = true;
  return result(cudaErrorStreamCaptureUnsupported);
}

void enqueue(cudaStream_t stream, std::function<void()> work) {
  if (is_captured(stream)) {
    stream_of(stream).captured->work.push_back(std::move(work));
  } else {
    work();
  }
}

std::size_t allowed_shared_bytes(const void* kernel) {
  constexpr std::size_t kUnasked = 48 << 10;
  const std::lock_guard lock(shared_bytes_mutex);
  const auto asked = asked_shared_bytes.find(kernel);
  const std::size_t allowed = asked == asked_shared_bytes.end() ? 0 : asked->second;
  return std::min(std::max(allowed, kUnasked), settings.shared_bytes);
}

}  // namespace l2o::emulation

using l2o::emulation::break_capture;
using l2o::emulation::enqueue;
using l2o::emulation::is_captured;
using l2o::emulation::is_default;
using l2o::emulation::require_device;
using l2o::emulation::result;
using l2o::emulation::settings;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorIllegalState:
      return "the operation cannot be performed in the present state";
    default:
      return "unknown error";
  }
}

cudaError_t cudaGetLastError() {
  result(cudaSuccess);
  return std::exchange(l2o::emulation::last_error, cudaSuccess);
}

// ----------------------------------------------------------------------------------------- device

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return require_device(device); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {};
  std::strncpy(properties->name, "emulated GPU", sizeof properties->name - 1);
  properties->totalGlobalMem = settings.memory_bytes;
  properties->major = settings.compute_capability;
  properties->multiProcessorCount = settings.multiprocessors;
  return require_device(device);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = settings.multiprocessors;
      return require_device(device);
    case cudaDevAttrComputeCapabilityMajor:
      *value = settings.compute_capability;
      return require_device(device);
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = settings.threads_per_multiprocessor;
      return require_device(device);
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(settings.shared_bytes);
      return require_device(device);
  }
  return result(cudaErrorInvalidValue);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  ++l2o::emulation::function_attributes_set;
  if (static_cast<std::size_t>(value) > settings.shared_bytes) return result(cudaErrorInvalidValue);
  const std::lock_guard lock(l2o::emulation::shared_bytes_mutex);
  l2o::emulation::asked_shared_bytes[kernel] = static_cast<std::size_t>(value);
  return result(cudaSuccess);
}

// ---------------------------------------------------------------------------------------- streams

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = std::make_unique<CUstream_st>().release();
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::unique_ptr<CUstream_st> owned(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return is_captured(stream) ? break_capture(stream) : result(cudaSuccess);
}

// ----------------------------------------------------------------------------------------- graphs

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (is_default(stream)) return result(cudaErrorStreamCaptureUnsupported);
  if (is_captured(stream)) return result(cudaErrorIllegalState);
  stream->captured = std::make_unique<CUgraph_st>();
  stream->capture_is_broken = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!is_captured(stream)) return result(cudaErrorIllegalState);
  const std::unique_ptr<CUgraph_st> broken =
      stream->capture_is_broken ? std::move(stream->captured) : nullptr;
  *graph = stream->captured.release();
  return result(broken ? cudaErrorStreamCaptureInvalidated : cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = std::make_unique<CUgraphExec_st>(CUgraphExec_st{graph->work}).release();
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  ++l2o::emulation::graph_launches;
  for (const std::function<void()>& work : executable->work) enqueue(stream, work);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const std::unique_ptr<CUgraph_st> owned(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const std::unique_ptr<CUgraphExec_st> owned(executable);
  return cudaSuccess;
}
