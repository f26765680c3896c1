// The roofs of a CUDA GPU. Kernels that do one thing only run until they take long enough for a
// clock on the host; the best of several trials counts.
#include "bench/cuda_roofs.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_shapes.h"

namespace l2o {
namespace {

using cuda::check;
using cuda::Device;
using cuda::kWarpSize;

constexpr int kNumber = 0;     // index of the GPU: the one that backends open
constexpr int kThreads = 256;  // per block
/// Independent chains of a thread, and blocks of a multiprocessor: together far more than its units
/// need to be busy all the time, and few enough to run at once.
constexpr int kChains = 8, kBlocksPerMultiprocessor = 2;

// ---------------------------------------------------------------------------------------- kernels
// Each stores the cycles that its first thread counted in *cycles, and something that depends on
// all its work in results [blocks, kThreads], so that nothing can be omitted.

struct FusedMultiplyAdd {
  L2O_DEVICE static float next(float x, float factor) { return cuda::fused(x, factor, factor); }
};
struct Tanh {
  L2O_DEVICE static float next(float x, float) { return cuda::approximate_tanh(x); }
};
struct Exp2 {
  L2O_DEVICE static float next(float x, float) { return cuda::approximate_exp2(-x); }
};

L2O_DEVICE void finish(float result, std::int64_t begin, float* results, std::int64_t* cycles) {
  const std::int64_t end = cuda::clock_cycles();
  const int thread = cuda::thread_index();
  results[std::int64_t{cuda::block_index()} * kThreads + thread] = result;
  if (cuda::block_index() == 0 && thread == 0) *cycles = end - begin;
}

/// x = next(x) in every chain of every thread, `rounds` times.
template <class Function>
__global__ void __launch_bounds__(kThreads)
    chains_kernel(std::int64_t rounds, float factor, float* results, std::int64_t* cycles) {
  const std::int64_t begin = cuda::clock_cycles();
  float chain[kChains];
#pragma unroll
  for (int c = 0; c < kChains; ++c) chain[c] = static_cast<float>(cuda::thread_index() + c);
#pragma unroll 16
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma unroll
    for (int c = 0; c < kChains; ++c) chain[c] = Function::next(chain[c], factor);
  }
  float sum = 0.0F;
#pragma unroll
  for (int c = 0; c < kChains; ++c) sum += chain[c];
  finish(sum, begin, results, cycles);
}

/// Two float16 numbers in [1, 2) or (-2, -1]. They differ from lane to lane: products with many
/// zeros take less power, and run faster.
L2O_DEVICE std::uint32_t some_float16_pair(int seed) {
  const std::uint32_t bits = static_cast<std::uint32_t>(seed + 1) * 2654435769U;
  return (bits & 0x83FF83FFU) | 0x3C003C00U;
}

/// Every chain of every warp adds a 16 x 16 by 16 x 8 product to its sums, `rounds` times.
__global__ void __launch_bounds__(kThreads)
    tensor_kernel(std::int64_t rounds, float* results, std::int64_t* cycles) {
  const std::int64_t begin = cuda::clock_cycles();
  const int lane = cuda::thread_index() % kWarpSize;
  std::uint32_t a[4], b[kChains][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) a[i] = some_float16_pair(4 * lane + i);
#pragma unroll
  for (int c = 0; c < kChains; ++c) {
    b[c][0] = some_float16_pair(1000 + 16 * lane + 2 * c);
    b[c][1] = some_float16_pair(1001 + 16 * lane + 2 * c);
  }
  float sums[kChains][4] = {};
#pragma unroll 4
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma unroll
    for (int c = 0; c < kChains; ++c) cuda::multiply_float16_k16(sums[c], a, b[c][0], b[c][1]);
  }
  float sum = 0.0F;
#pragma unroll
  for (int c = 0; c < kChains; ++c) sum += sums[c][0] + sums[c][1] + sums[c][2] + sums[c][3];
  finish(sum, begin, results, cycles);
}

/// Vectors of 16 bytes that a thread has in flight, and the size of the piece that a block copies.
constexpr int kVectors = 4;
constexpr std::int64_t kPiece = std::int64_t{kVectors} * kThreads;
constexpr std::size_t kPieceBytes = kPiece * sizeof(uint4);

/// Copies `pieces` pieces; the destination may be the source.
__global__ void __launch_bounds__(kThreads)
    copy_kernel(const uint4* source, uint4* destination, std::int64_t pieces) {
  for (std::int64_t piece = cuda::block_index(); piece < pieces; piece += cuda::block_count()) {
    const std::int64_t first = piece * kPiece + cuda::thread_index();
    uint4 vectors[kVectors];
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      vectors[v] = cuda::load_streaming(source + first + v * kThreads);
    }
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      // Otherwise a copy in place would do nothing.
      vectors[v].x += 1U;
      cuda::store_streaming(destination + first + v * kThreads, vectors[v]);
    }
  }
}

// ---------------------------------------------------------------------------------------- the host

/// The GPU, and a stream on it.
class Gpu {
 public:
  Gpu() {
    check(cudaSetDevice(kNumber), "choosing the device");
    device_ = cuda::describe_device(kNumber);
    check(cudaStreamCreateWithFlags(&device_.stream, cudaStreamNonBlocking), "making a stream");
  }
  ~Gpu() { cudaStreamDestroy(device_.stream); }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const Device& device() const { return device_; }
  std::int64_t blocks() const { return kBlocksPerMultiprocessor * device_.multiprocessors; }
  void wait() const { check(cudaStreamSynchronize(device_.stream), "waiting for the device"); }

 private:
  Device device_;
};

template <class T>
class Memory {
 public:
  Memory(const Gpu& gpu, std::size_t size) : gpu_(gpu) {
    void* memory = nullptr;
    check(cudaMallocAsync(&memory, size * sizeof(T), gpu.device().stream), "memory of the roofs");
    data_ = static_cast<T*>(memory);
    check(cudaMemsetAsync(data_, 0, size * sizeof(T), gpu.device().stream), "memory of the roofs");
  }
  ~Memory() { cudaFreeAsync(data_, gpu_.device().stream); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  T* data() const { return data_; }

 private:
  const Gpu& gpu_;
  T* data_ = nullptr;
};

constexpr int kTrials = 5;                // the best one counts: a roof is an upper bound
constexpr double kShortestTrial = 10e-3;  // seconds: a thousand times the time of a launch

/// Returns the seconds that `work`, which queues operations, takes.
double seconds(const Gpu& gpu, const std::function<void()>& work) {
  gpu.wait();
  const auto start = std::chrono::steady_clock::now();
  work();
  gpu.wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Rate {
  double per_second = 0.0;
  double clock_hertz = 0.0;
};

/// Measures a kernel in which every thread does `per_thread` operations per round. launch(rounds,
/// results, cycles) queues it.
template <class Launch>
Rate measure_rate(const Gpu& gpu, double per_thread, const Launch& launch) {
  const double threads = static_cast<double>(gpu.blocks()) * kThreads;
  const Memory<float> results(gpu, static_cast<std::size_t>(threads));
  const Memory<std::int64_t> cycles(gpu, 1);
  std::int64_t rounds = 64;
  const auto trial = [&] {
    return seconds(gpu, [&] { launch(rounds, results.data(), cycles.data()); });
  };
  while (trial() < kShortestTrial) rounds *= 2;

  Rate best;
  for (int i = 0; i < kTrials; ++i) {
    const double time = trial();
    const double rate = static_cast<double>(rounds) * per_thread * threads / time;
    if (rate <= best.per_second) continue;
    std::int64_t count = 0;
    check(cudaMemcpyAsync(&count, cycles.data(), sizeof count, cudaMemcpyDeviceToHost,
                          gpu.device().stream),
          "the cycles");
    gpu.wait();
    best = {rate, static_cast<double>(count) / time};
  }
  return best;
}

template <class Function>
Rate measure_chains(const Gpu& gpu, const char* name, double per_link) {
  return measure_rate(
      gpu, kChains * per_link, [&](std::int64_t rounds, float* results, std::int64_t* cycles) {
        cuda::launch(name, chains_kernel<Function>, gpu.device(),
                     {.blocks = gpu.blocks(), .threads = kThreads}, rounds, 0.5F, results, cycles);
      });
}

Rate measure_tensor_cores(const Gpu& gpu) {
  constexpr double kFlops = 2.0 * 16 * 8 * 16;  // FLOPs of one product of a warp
  return measure_rate(gpu, kChains * kFlops / kWarpSize,
                      [&](std::int64_t rounds, float* results, std::int64_t* cycles) {
                        cuda::launch("tensor_kernel", tensor_kernel, gpu.device(),
                                     {.blocks = gpu.blocks(), .threads = kThreads}, rounds, results,
                                     cycles);
                      });
}

/// Tries CUDA's own copy, and that of a kernel, to another array and in place.
double measure_bandwidth(const Gpu& gpu, std::size_t memory_bytes) {
  const std::size_t pieces = std::max<std::size_t>(memory_bytes / (2 * kPieceBytes), 1);
  const std::size_t bytes = pieces * kPieceBytes;
  const Memory<uint4> source(gpu, bytes / sizeof(uint4));
  const Memory<uint4> destination(gpu, bytes / sizeof(uint4));
  const auto copy_to = [&](uint4* place) {
    cuda::launch("copy_kernel", copy_kernel, gpu.device(),
                 {.blocks = gpu.device().resident_blocks(kThreads), .threads = kThreads},
                 source.data(), place, static_cast<std::int64_t>(pieces));
  };
  const std::function<void()> copies[] = {
      [&] {
        check(cudaMemcpyAsync(destination.data(), source.data(), bytes, cudaMemcpyDeviceToDevice,
                              gpu.device().stream),
              "a copy on the device");
      },
      [&] { copy_to(destination.data()); }, [&] { copy_to(source.data()); }};
  double best = 0.0;
  for (const std::function<void()>& copy : copies) {
    copy();
    for (int i = 0; i < kTrials; ++i) {
      best = std::max(best, 2.0 * static_cast<double>(bytes) / seconds(gpu, copy));
    }
  }
  return best;
}

}  // namespace

Roofs measure_cuda_roofs(std::size_t memory_bytes) {
  const Gpu gpu;
  Roofs roofs;
  roofs.bytes_per_second = measure_bandwidth(gpu, memory_bytes);
  const Rate fused = measure_chains<FusedMultiplyAdd>(gpu, "chains_kernel<FusedMultiplyAdd>", 2.0);
  const Rate tensor = measure_tensor_cores(gpu);
  const Rate tanh = measure_chains<Tanh>(gpu, "chains_kernel<Tanh>", 1.0);
  const Rate exp2 = measure_chains<Exp2>(gpu, "chains_kernel<Exp2>", 1.0);
  roofs.flops_per_second = fused.per_second;
  roofs.tensor_flops_per_second = tensor.per_second;
  roofs.remarks = {{"tanh_per_second", tanh.per_second},
                   {"exp2_per_second", exp2.per_second},
                   {"clock_of_fma_hertz", fused.clock_hertz},
                   {"clock_of_tensor_cores_hertz", tensor.clock_hertz},
                   {"clock_of_tanh_hertz", tanh.clock_hertz},
                   {"clock_of_exp2_hertz", exp2.clock_hertz}};
  return roofs;
}

bool runs_on_tensor_cores(const CellConfig& cell) {
  return cuda::visit_tensor_cores(cell, [](auto) {});
}

}  // namespace l2o
