// The backend for a CUDA GPU: every op is queued on one stream; download() and synchronize() wait
// for it.
#include "host/backend/cuda_backend.h"

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "host/backend/checked_size.h"
#include "host/backend/cuda_errors.h"
#include "host/backend/cuda_memory_pool.h"
#include "host/backend/cuda_recording.h"
#include "host/backend/memory_account.h"
#include "host/backend/recompute_plan.h"
#include "host/core/error.h"
#include "kernels/cells/cell_list.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/state_layout.h"

namespace l2o {
namespace {

using cuda::check;

/// Replay scratch of kernels that keep their steps in device memory: a GPU has enough, and long
/// segments are fast.
constexpr std::size_t kCudaReplayBudget = std::size_t{2} << 30;

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const BackendOptions& options)
      : number_(options.number), stream_(static_cast<cudaStream_t>(options.stream)) {
    if (stream_ == cudaStreamPerThread) {
      throw Error(
          Status::kUsage,
          "cudaStreamPerThread is a different stream in each thread; create a stream instead");
    }
    try {
      on_device([&] {
        info_ = cuda_device_info(number_);
        info_.precision = options.precision;
        if (options.memory_limit != 0) {
          info_.memory_bytes = std::min(info_.memory_bytes, options.memory_limit);
        }
        device_ = cuda::describe_device(number_);
        device_.precision = options.precision;
        check(cudaStreamCreateWithFlags(&own_stream_, cudaStreamNonBlocking), "making a stream");
        check(cudaStreamCreateWithFlags(&capture_stream_, cudaStreamNonBlocking),
              "making a stream");
        if (stream_ == nullptr) stream_ = own_stream_;
        device_.stream = stream_;
        pool_ = CudaMemoryPool::of_device(number_);
        device_.workspace = static_cast<double*>(
            CudaBackend::allocate(cuda::Device::kWorkspaceSize * sizeof(double)));
        blas_workspace_ = CudaBackend::allocate(cuda::Blas::kWorkspaceBytes);
        try_the_device();
      });
    } catch (...) {
      close();
      throw;
    }
  }
  ~CudaBackend() override { close(); }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  const DeviceInfo& device() const override { return info_; }
  void* stream() const override { return stream_; }

  void* allocate(std::size_t bytes) override {
    if (is_recording())
      throw Error(Status::kInternal, "memory allocated while ops are being recorded");
    return on_device([&] {
      const std::size_t limit = info_.memory_bytes;
      return account_.take(bytes, limit, limit, [&] { return pool_->take(bytes, stream_); });
    });
  }
  void release(void* memory) noexcept override {
    account_.release(memory, [&](void* block) {
      const CurrentDevice current(number_);
      pool_->release(block, stream_);
    });
  }
  std::size_t memory_in_use() const override { return account_.in_use(); }
  void upload(void* destination, const void* host_source, std::size_t bytes) override {
    on_device([&] {
      if (bytes == 0) return;
      check(
          cudaMemcpyAsync(destination, host_source, bytes, cudaMemcpyHostToDevice, device_.stream),
          "a copy to the device");
      // The caller may reuse the source when this returns.
      check(cudaStreamSynchronize(device_.stream), "a copy to the device");
    });
  }
  void download(void* host_destination, const void* source, std::size_t bytes) override {
    on_device([&] {
      if (bytes > 0) {
        check(cudaMemcpyAsync(host_destination, source, bytes, cudaMemcpyDeviceToHost,
                              device_.stream),
              "a copy from the device");
      }
      check(cudaStreamSynchronize(device_.stream), "waiting for the device");
    });
  }
  void copy(void* destination, const void* source, std::size_t bytes) override {
    on_device([&] {
      if (bytes == 0) return;
      check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, device_.stream),
            "a copy on the device");
    });
  }
  void fill_zero(void* destination, std::size_t bytes) override {
    on_device([&] {
      if (bytes > 0) {
        check(cudaMemsetAsync(destination, 0, bytes, device_.stream), "filling memory");
      }
    });
  }
  void synchronize() override {
    on_device([&] { check(cudaStreamSynchronize(device_.stream), "waiting for the device"); });
  }

  void run(std::unique_ptr<Recording>& recording, const std::function<void()>& work) override {
    if (!recording) {
      // The first run loads kernels and cuBLAS, which cannot be recorded.
      work();
      recording = std::make_unique<CudaRecording>();
      return;
    }
    auto& graph = static_cast<CudaRecording&>(*recording);
    on_device([&] {
      if (graph.is_empty()) {
        // Use a separate stream: the caller's may be the default stream, which cannot be recorded,
        // and memory may be released on it in the meantime.
        queue_on(capture_stream_);
        try {
          graph.capture(capture_stream_, work);
        } catch (...) {
          queue_on(stream_);
          throw;
        }
        queue_on(stream_);
      }
      if (graph.is_empty()) {
        work();
      } else {
        graph.launch(stream_);
      }
    });
  }

  std::string kernels_of(const CellConfig& cell) const override {
    constexpr const char* kSegments = "backward pass in segments, through device memory";
    const char* const precision = precision_name(cuda::precision_of(cell, device_));
    switch (cuda::rule_kernels(cell, device_)) {
      case cuda::RuleKernels::kTensorCores:
        return fmt::format("tensor cores at {}, backward pass in one kernel", precision);
      case cuda::RuleKernels::kTensorCoresInSegments:
        return fmt::format("tensor cores at {}, {}", precision, kSegments);
      case cuda::RuleKernels::kPortable:
        return fmt::format("float32 arithmetic without tensor cores, {}", kSegments);
      case cuda::RuleKernels::kGeneric:
        break;
    }
    return "the rule's own code in float32, one thread per coordinate";
  }
  std::size_t packed_bytes(const CellConfig& cell) const override {
    return cuda::packed_bytes(cell, device_);
  }
  std::size_t state_bytes(const CellConfig& cell, std::int64_t n) const override {
    return checked_size({tile_count(n), tile_bytes(cell)});
  }
  std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const override {
    return cuda::unroll_backward_scratch_bytes(args, device_);
  }
  int plan_segment_length(const CellConfig& cell, int unroll_length,
                          std::size_t budget) const override {
    const ReplayBytes bytes = cuda::replay_bytes(cell, device_);
    if (bytes.per_step == 0) return unroll_length;
    return plan_recompute_segment(unroll_length, bytes, budget == 0 ? kCudaReplayBudget : budget);
  }

  void export_state(const CellConfig& cell, std::int64_t n, const void* state,
                    float* host_state) override {
    std::vector<std::byte> tiles(state_bytes(cell, n));
    download(tiles.data(), state, tiles.size());
    for_each_number(cell, n, tiles.data(), [&](std::byte* number, int bytes, std::int64_t index) {
      if (bytes == 4) {
        std::memcpy(&host_state[index], number, sizeof(float));
      } else {
        __half half;
        std::memcpy(&half, number, sizeof half);
        host_state[index] = __half2float(half);
      }
    });
  }
  void import_state(const CellConfig& cell, std::int64_t n, const float* host_state,
                    void* state) override {
    std::vector<std::byte> tiles(state_bytes(cell, n));  // the padding is zero
    for_each_number(cell, n, tiles.data(), [&](std::byte* number, int bytes, std::int64_t index) {
      if (bytes == 4) {
        std::memcpy(number, &host_state[index], sizeof(float));
      } else {
        const __half half = __float2half_rn(host_state[index]);
        std::memcpy(number, &half, sizeof half);
      }
    });
    upload(state, tiles.data(), tiles.size());
  }

#define L2O_FORWARD_OP(op, Args)       \
  void op(const Args& args) override { \
    on_device([&] {                    \
      prepare(args);                   \
      cuda::op(args, device_);         \
    });                                \
  }
  L2O_FOR_EACH_OP(L2O_FORWARD_OP)
#undef L2O_FORWARD_OP

 private:
  template <class Args>
  void prepare(const Args& /*args*/) {}
  /// The first product creates the cuBLAS handle.
  void prepare(const GemmArgs& /*args*/) {
    if (blas_) return;
    const std::lock_guard lock(capture_mutex());
    blas_ = std::make_unique<cuda::Blas>(stream_, blas_workspace_);
    device_.blas = blas_.get();
  }

  /// Runs `work` with this backend's GPU as the thread's current one.
  template <class Work>
  auto on_device(const Work& work) -> decltype(work()) {
    return translated([&] {
      const CurrentDevice current(number_);
      check(current.status(), "choosing the device");
      return work();
    });
  }

  bool is_recording() const { return device_.stream != stream_; }
  /// Queues all further ops on this stream.
  void queue_on(cudaStream_t stream) {
    device_.stream = stream;
    if (blas_) blas_->set_stream(stream);
  }

  /// Fails early if this build has no kernels for the GPU.
  void try_the_device() {
    FillRandomArgs args;
    args.batch = 1;
    args.count = 1;
    args.out = reinterpret_cast<float*>(device_.workspace);
    cuda::fill_random(args, device_);
    check(cudaStreamSynchronize(device_.stream), "trying the device");
  }

  std::int64_t tile_bytes(const CellConfig& cell) const {
    return cuda::state_tile_bytes(cell, cuda::precision_of(cell, device_));
  }

  /// Calls visit(value, its size in bytes, index into [S, N]) for every value in tiles of state.
  template <class Visit>
  void for_each_number(const CellConfig& cell, std::int64_t n, std::byte* tiles,
                       const Visit& visit) const {
    const Precision precision = cuda::precision_of(cell, device_);
    for (int s = 0; s < cell_state_size(cell); ++s) {
      const cuda::StateRow row = cuda::state_row(cell, precision, s);
      for (std::int64_t i = 0; i < n; ++i) {
        visit(tiles + i / kTile * tile_bytes(cell) + row.offset + i % kTile * row.bytes, row.bytes,
              s * n + i);
      }
    }
  }

  void close() noexcept {
    const CurrentDevice current(number_);
    if (blas_) {
      const std::lock_guard lock(capture_mutex());
      blas_.reset();
    }
    if (blas_workspace_ != nullptr) CudaBackend::release(blas_workspace_);
    if (device_.workspace != nullptr) CudaBackend::release(device_.workspace);
    pool_.reset();
    if (own_stream_ != nullptr) {
      cudaStreamSynchronize(own_stream_);
      cudaStreamDestroy(own_stream_);
    }
    if (capture_stream_ != nullptr) cudaStreamDestroy(capture_stream_);
    cudaGetLastError();
  }

  int number_;
  DeviceInfo info_;
  cuda::Device device_;  // its stream is stream_ or capture_stream_
  cudaStream_t stream_;  // the caller's stream or own_stream_
  cudaStream_t own_stream_ = nullptr;
  cudaStream_t capture_stream_ = nullptr;
  std::shared_ptr<CudaMemoryPool> pool_;
  MemoryAccount account_;
  std::unique_ptr<cuda::Blas> blas_;  // created by the first product
  void* blas_workspace_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options) {
  std::string why;
  const int count = count_cuda_devices(&why);
  if (count == 0) {
    throw Error(Status::kDeviceUnavailable,
                fmt::format("there is no CUDA device here ({}); choose the device \"cpu\" or "
                            "\"auto\"",
                            why));
  }
  if (options.number < 0 || options.number >= count) {
    throw Error(Status::kUsage, fmt::format("CUDA device {} does not exist; this machine has {}, "
                                            "numbered from 0",
                                            options.number, count));
  }
  return std::make_unique<CudaBackend>(options);
}

}  // namespace l2o
