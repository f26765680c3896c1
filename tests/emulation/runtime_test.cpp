// The runtime of the emulated GPU: memory, errors, and recording of streams.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "kernels/cuda/blas.h"
#include "kernels/cuda/launch.cuh"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/gpu_memory.h"

namespace l2o::cuda {
namespace {

using emulation::device_bytes_in_use;
using emulation::GpuMemory;

class Runtime : public testing::Test {
 protected:
  Runtime() { EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess); }
  ~Runtime() override {
    cudaGetLastError();
    cudaStreamDestroy(stream_);
  }
  /// Expects that a call cannot be recorded and breaks the recording.
  template <class Call>
  void expect_refused(const Call& call) {
    EXPECT_EQ(call(), cudaSuccess);
    ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(call(), cudaSuccess);
  }

  cudaStream_t stream_ = nullptr;
  emulation::RestoreSettings restore_;
};

TEST_F(Runtime, CountsMemory) {
  const std::size_t before = device_bytes_in_use();
  emulation::settings.memory_bytes = before + 1000;
  void* first = nullptr;
  void* second = nullptr;
  ASSERT_EQ(cudaMallocAsync(&first, 600, stream_), cudaSuccess);
  EXPECT_EQ(device_bytes_in_use(), before + 600);
  EXPECT_EQ(cudaMallocAsync(&second, 401, stream_), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  ASSERT_EQ(cudaMallocAsync(&second, 400, stream_), cudaSuccess);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(second) % 64, 0U);
  EXPECT_EQ(cudaFreeAsync(first, stream_), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(second, stream_), cudaSuccess);
  EXPECT_EQ(device_bytes_in_use(), before);
  EXPECT_THROW(cudaFreeAsync(second, stream_), emulation::EmulationFault);
  EXPECT_EQ(cudaFreeAsync(nullptr, stream_), cudaSuccess);
}

TEST_F(Runtime, CopiesBetweenTheRightMemories) {
  const GpuMemory<int> a(4), b(4);
  const std::array<int, 4> values = {1, 2, 3, 4};
  std::array<int, 4> back = {};
  const auto copy = [&](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, stream_);
  };
  EXPECT_EQ(copy(a.data(), values.data(), 16, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(copy(b.data(), a.data(), 16, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(b.data() + 3, 0, 4, stream_), cudaSuccess);
  EXPECT_EQ(copy(back.data(), b.data(), 16, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(back, (std::array{1, 2, 3, 0}));

  EXPECT_EQ(copy(a.data(), values.data(), 17, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(b.data() + 1, a.data(), 16, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(back.data(), values.data(), 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(a.data(), b.data(), 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(a.data(), b.data(), 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(a.data() + 1, 0, 16, stream_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(back.data(), 0, 16, stream_), cudaErrorInvalidValue);
}

struct Addition {
  float* sum;
  float value;
};
__global__ void add_kernel(Addition addition) {
  if (thread_index() == 0) *addition.sum += addition.value;
}

TEST_F(Runtime, RecordsAndReplays) {
  const GpuMemory<float> sum(1), kept(1), matrix(4);
  Device device;
  device.stream = stream_;
  const GpuMemory<char> workspace(Blas::kWorkspaceBytes);
  Blas blas(stream_, workspace.data());
  const GemmArgs square = {
      .m = 1, .n = 1, .k = 1, .batch = 1, .a = sum.data(), .b = sum.data(), .c = matrix.data()};
  sum[0] = kept[0] = matrix[0] = 7.0F;
  {
    Addition addition = {sum.data(), 1.0F};
    ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    cudaMemsetAsync(sum.data(), 0, sizeof(float), stream_);
    launch("add_kernel", add_kernel, device, {.blocks = 3, .threads = 32}, addition);
    addition.value = 10.0F;
    launch("add_kernel", add_kernel, device, {.blocks = 1, .threads = 32}, addition);
    addition = {};
    cudaMemcpyAsync(kept.data(), sum.data(), sizeof(float), cudaMemcpyDeviceToDevice, stream_);
    blas.gemm(square);
  }
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(sum[0], 7.0F);
  EXPECT_EQ(kept[0], 7.0F);
  EXPECT_EQ(matrix[0], 7.0F);

  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  for (int i = 0; i < 2; ++i) {
    sum[0] = kept[0] = matrix[0] = 100.0F;
    ASSERT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
    EXPECT_EQ(kept[0], 13.0F);
    EXPECT_EQ(matrix[0], 169.0F);
  }
  ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
}

TEST_F(Runtime, ThrowsTheFaultOfAGraph) {
  const GpuMemory<float> memory(16);
  Device device;
  device.stream = stream_;
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  launch("add_kernel", add_kernel, device, {.blocks = 1, .threads = 32}, {memory.end(), 1.0F});
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  EXPECT_THROW(cudaGraphLaunch(executable, stream_), emulation::EmulationFault);
  cudaGraphDestroy(graph);
  cudaGraphExecDestroy(executable);
}

TEST_F(Runtime, RefusesToRecordBlockingCalls) {
  const GpuMemory<float> memory(1);
  float host = 1.0F;
  expect_refused([&] { return cudaStreamSynchronize(stream_); });
  expect_refused([&] {
    return cudaMemcpyAsync(memory.data(), &host, sizeof host, cudaMemcpyHostToDevice, stream_);
  });
  expect_refused([&] {
    return cudaMemcpyAsync(&host, memory.data(), sizeof host, cudaMemcpyDeviceToHost, stream_);
  });
  expect_refused([&] {
    void* taken = nullptr;
    const cudaError_t code = cudaMallocAsync(&taken, 16, stream_);
    if (code == cudaSuccess) cudaFreeAsync(taken, stream_);
    return code;
  });
  void* taken = nullptr;
  ASSERT_EQ(cudaMallocAsync(&taken, 16, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(taken, stream_), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaFreeAsync(taken, stream_), cudaSuccess);
}

TEST_F(Runtime, RecordingHasABeginningAndAnEnd) {
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorIllegalState);
  for (const cudaStream_t stream : {cudaStream_t{nullptr}, cudaStreamLegacy}) {
    EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
              cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  }
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
            cudaErrorIllegalState);
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
}

TEST_F(Runtime, IsOneGpu) {
  int count = 0, value = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  emulation::settings.multiprocessors = 7;
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0), cudaSuccess);
  EXPECT_EQ(value, 7);
  cudaDeviceProp properties;
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_EQ(properties.totalGlobalMem, emulation::settings.memory_bytes);
}

TEST_F(Runtime, BlasAcceptsOnlyDeviceMemory) {
  const GpuMemory<float> a(6), b(6), c(4);
  for (std::size_t i = 0; i < 6; ++i) a[i] = b[i] = static_cast<float>(i);
  const GpuMemory<char> workspace(Blas::kWorkspaceBytes);
  Blas blas(stream_, workspace.data());
  // Rows {0, 1, 2} and {3, 4, 5} times each other; the previous contents of C do not matter.
  GemmArgs product{.transpose_b = true,
                   .m = 2,
                   .n = 2,
                   .k = 3,
                   .batch = 1,
                   .a = a.data(),
                   .b = b.data(),
                   .c = c.data()};
  blas.gemm(product);
  EXPECT_EQ(std::vector<float>(c.begin(), c.end()), (std::vector{5.0F, 14.0F, 14.0F, 50.0F}));
  product.k = 4;
  EXPECT_THROW(blas.gemm(product), emulation::EmulationFault);
  const std::vector<float> host(6);
  product.k = 3;
  product.b = host.data();
  EXPECT_THROW(blas.gemm(product), emulation::EmulationFault);
}

}  // namespace
}  // namespace l2o::cuda
