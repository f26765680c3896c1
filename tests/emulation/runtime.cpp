// The emulated GPU's runtime (shadow/cuda_runtime.h).
#include <cuda_runtime.h>

#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};
struct CUstream_st {
  std::unique_ptr<CUgraph_st> captured;  ///< null: what is queued runs
  bool capture_is_broken = false;
};
struct CUmemPoolHandle_st {
  std::uint64_t release_threshold = 0;
};

namespace {

using l2o::emulation::settings;

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t result(cudaError_t code) {
  if (code != cudaSuccess) last_error = code;
  return code;
}

bool is_default(cudaStream_t stream) { return stream == nullptr || stream == cudaStreamLegacy; }

CUstream_st& stream_of(cudaStream_t stream) {
  static CUstream_st default_stream;
  return is_default(stream) ? default_stream : *stream;
}

bool is_captured(cudaStream_t stream) { return stream_of(stream).captured != nullptr; }

/// What waits for the device, or for host memory, cannot be recorded, and ends the recording.
cudaError_t break_capture(cudaStream_t stream) {
  stream_of(stream).capture_is_broken = true;
  return result(cudaErrorStreamCaptureUnsupported);
}

cudaError_t device_exists(int device) {
  return result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

}  // namespace

namespace l2o::emulation {

int graph_launches = 0;

void enqueue(cudaStream_t stream, std::function<void()> work) {
  if (is_captured(stream)) {
    stream_of(stream).captured->work.push_back(std::move(work));
  } else {
    work();
  }
}

}  // namespace l2o::emulation

using l2o::emulation::enqueue;
using l2o::emulation::is_device_memory;
using l2o::emulation::is_host_memory;

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
    case cudaErrorIllegalState:
      return "the operation cannot be performed in the present state";
    default:
      return "unknown error";
  }
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

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

cudaError_t cudaSetDevice(int device) { return device_exists(device); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {};
  std::strncpy(properties->name, "emulated card", sizeof properties->name - 1);
  properties->totalGlobalMem = settings.memory_bytes;
  properties->major = settings.compute_capability;
  properties->multiProcessorCount = settings.multiprocessors;
  return device_exists(device);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = settings.multiprocessors;
      return device_exists(device);
    case cudaDevAttrComputeCapabilityMajor:
      *value = settings.compute_capability;
      return device_exists(device);
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(settings.shared_bytes);
      return device_exists(device);
  }
  return result(cudaErrorInvalidValue);
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
  return is_captured(stream) ? break_capture(stream) : cudaSuccess;
}

// ----------------------------------------------------------------------------------------- memory

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  if (properties->allocType != cudaMemAllocationTypePinned) return result(cudaErrorInvalidValue);
  *pool = std::make_unique<CUmemPoolHandle_st>().release();
  return device_exists(properties->location.id);
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  const std::unique_ptr<CUmemPoolHandle_st> owned(pool);
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (attribute != cudaMemPoolAttrReleaseThreshold) return result(cudaErrorInvalidValue);
  pool->release_threshold = *static_cast<std::uint64_t*>(value);
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  if (is_captured(stream)) return break_capture(stream);
  if (bytes == 0) return result(cudaErrorInvalidValue);
  *memory = l2o::emulation::allocate_device_memory(bytes);
  return result(*memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaMallocFromPoolAsync(void** memory, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  return pool == nullptr ? result(cudaErrorInvalidValue) : cudaMallocAsync(memory, bytes, stream);
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  if (is_captured(stream)) return break_capture(stream);
  if (memory == nullptr) return cudaSuccess;
  // A GPU's error here is easily overlooked; this is not.
  if (!l2o::emulation::free_device_memory(memory)) {
    throw l2o::emulation::EmulationFault("cudaFreeAsync: no allocation begins at this address");
  }
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
  const bool to_host = kind == cudaMemcpyDeviceToHost, from_host = kind == cudaMemcpyHostToDevice;
  const bool good_destination =
      to_host ? is_host_memory(destination) : is_device_memory(destination, bytes);
  const bool good_source = from_host ? is_host_memory(source) : is_device_memory(source, bytes);
  if (!good_destination || !good_source) return result(cudaErrorInvalidValue);
  if (is_captured(stream) && (to_host || from_host)) return break_capture(stream);
  enqueue(stream, [=] { std::memmove(destination, source, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  if (!is_device_memory(memory, bytes)) return result(cudaErrorInvalidValue);
  enqueue(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
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
