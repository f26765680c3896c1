// The CPU backend: every op is complete when its call returns, so nothing ever has to wait.
#include "host/backend/cpu_backend.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "host/backend/checked_size.h"
#include "host/backend/host_memory.h"
#include "host/backend/recompute_plan.h"
#include "host/core/error.h"
#include "kernels/cells/cell_list.h"
#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

constexpr int kMaxThreads = BackendOptions::kMaxThreads;
/// Replay scratch that fits into a worker's second-level cache; with more, the backward pass slows
/// down.
constexpr std::size_t kCpuReplayBudget = std::size_t{1} << 20;

int available_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// The name reported by the kernel; Arm kernels report none.
std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options)
      : device_(cpu_device_info(options)),
        memory_(device_.memory_bytes),
        pool_(start_threads(device_.threads, [this] { poll(); })) {}

  const DeviceInfo& device() const override { return device_; }

  void* allocate(std::size_t bytes) override { return memory_.allocate(bytes); }
  void release(void* memory) noexcept override { memory_.release(memory); }
  std::size_t memory_in_use() const override { return memory_.in_use(); }
  void upload(void* destination, const void* host_source, std::size_t bytes) override {
    copy(destination, host_source, bytes);
  }
  void download(void* host_destination, const void* source, std::size_t bytes) override {
    copy(host_destination, source, bytes);
  }
  void copy(void* destination, const void* source, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(destination, source, bytes);
  }
  void fill_zero(void* destination, std::size_t bytes) override {
    if (bytes != 0) std::memset(destination, 0, bytes);
  }
  void synchronize() override {}

  std::string kernels_of(const CellConfig& cell) const override {
    return has_lstm_kernels(cell) ? std::string("vectors of ") + cpu::simd_target() + " in float32"
                                  : "the rule's own code in float32";
  }
  std::size_t packed_bytes(const CellConfig& cell) const override {
    return cpu::packed_bytes(cell);
  }
  std::size_t state_bytes(const CellConfig& cell, std::int64_t n) const override {
    return checked_size({tile_count(n), cell_state_size(cell), kTile, sizeof(float)});
  }
  std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const override {
    return cpu::unroll_backward_scratch_bytes(args, pool_.threads());
  }
  int plan_segment_length(const CellConfig& cell, int unroll_length,
                          std::size_t budget) const override {
    return plan_recompute_segment(unroll_length, cpu::replay_bytes(cell),
                                  budget == 0 ? kCpuReplayBudget : budget);
  }

  void export_state(const CellConfig& cell, std::int64_t n, const void* state,
                    float* host_state) override {
    const auto* tiled = static_cast<const float*>(state);
    const int size = cell_state_size(cell);
    for (int s = 0; s < size; ++s) {
      for (std::int64_t i = 0; i < n; ++i) host_state[s * n + i] = tiled[state_index(size, s, i)];
    }
  }
  void import_state(const CellConfig& cell, std::int64_t n, const float* host_state,
                    void* state) override {
    auto* tiled = static_cast<float*>(state);
    const int size = cell_state_size(cell);
    // The padding of the last tile is zero, as in a newly zeroed state.
    fill_zero(state, state_bytes(cell, n));
    for (int s = 0; s < size; ++s) {
      for (std::int64_t i = 0; i < n; ++i) tiled[state_index(size, s, i)] = host_state[s * n + i];
    }
  }

#define L2O_FORWARD_OP(op, Args) \
  void op(const Args& args) override { cpu::op(args, pool_); }
  L2O_FOR_EACH_OP(L2O_FORWARD_OP)
#undef L2O_FORWARD_OP

 private:
  static cpu::ThreadPool start_threads(int threads, std::function<void()> poll) {
    try {
      return cpu::ThreadPool(threads, std::move(poll));
    } catch (const std::system_error& error) {
      throw Error(Status::kOutOfMemory, "the system cannot start " + std::to_string(threads) +
                                            " threads (" + error.code().message() + "); use fewer");
    }
  }

  DeviceInfo device_;
  HostMemory memory_;
  cpu::ThreadPool pool_;
};

}  // namespace

DeviceInfo cpu_device_info(const BackendOptions& options) {
  const int threads = options.threads;
  if (threads < 0 || threads > kMaxThreads) {
    throw Error(Status::kUsage, "threads = " + std::to_string(threads) + " is not in 0.." +
                                    std::to_string(kMaxThreads) + " (0: one per core)");
  }
  DeviceInfo info;
  info.kind = DeviceKind::kCpu;
  info.name = "cpu";
  info.description = processor_name() + ", " + cpu::simd_target();
  info.threads = threads == 0 ? std::min(available_cores(), kMaxThreads) : threads;
  info.memory_bytes = usable_memory();
  if (options.memory_limit != 0) {
    info.memory_bytes = info.memory_bytes == 0 ? options.memory_limit
                                               : std::min(info.memory_bytes, options.memory_limit);
  }
  return info;
}

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace l2o
