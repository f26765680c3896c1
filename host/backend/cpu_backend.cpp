// The backend of the processor: every op is done when its call returns, so nothing ever has to
// wait.
#include "host/backend/cpu_backend.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

#include "host/backend/checked_size.h"
#include "host/backend/host_memory.h"
#include "host/backend/recompute_plan.h"
#include "host/core/error.h"
#include "kernels/cells/cell_list.h"
#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

constexpr int kMaxThreads = BackendOptions::kMaxThreads;
/// Replay scratch that a worker's second-level cache holds; beyond it the backward pass slows down.
constexpr std::size_t kReplayBudget = std::size_t{1} << 20;

int available_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// As the kernel names it; Arm kernels name none.
std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "processor";
}

/// The tuned kernels run the LSTM with layers; the generic driver runs every other cell.
bool is_tuned(const CellConfig& cell) { return cell.kind == kLstmKind && cell.lstm.layers >= 1; }

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options)
      : device_(cpu_device_info(options)),
        memory_(device_.memory_bytes),
        pool_(start_threads(device_.threads)) {}

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

  std::size_t packed_bytes(const CellConfig& cell) const override {
    return is_tuned(cell) ? cpu::lstm_packed_bytes(cell.lstm) : cpu::generic_packed_bytes(cell);
  }
  std::size_t state_bytes(const CellConfig& cell, std::int64_t n) const override {
    return checked_size({tile_count(n), cell_state_size(cell), kTile, sizeof(float)});
  }
  std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const override {
    return is_tuned(args.cell) ? cpu::lstm_unroll_backward_scratch_bytes(args, pool_.threads())
                               : cpu::generic_unroll_backward_scratch_bytes(args, pool_.threads());
  }
  int plan_segment_length(const CellConfig& cell, int unroll_length,
                          std::size_t budget) const override {
    return plan_recompute_segment(unroll_length, recompute_cost(cell),
                                  budget == 0 ? kReplayBudget : budget);
  }
  void pack(const PackArgs& args) override {
    is_tuned(args.cell) ? cpu::lstm_pack(args) : cpu::generic_pack(args);
  }
  void step(const StepArgs& args) override {
    is_tuned(args.cell) ? cpu::lstm_step(args, pool_) : cpu::generic_step(args, pool_);
  }
  void unroll_backward(const UnrollBackwardArgs& args) override {
    is_tuned(args.cell) ? cpu::lstm_unroll_backward(args, pool_)
                        : cpu::generic_unroll_backward(args, pool_);
  }
  void meta_update(const MetaUpdateArgs& args) override { cpu::meta_update(args); }
  void count_not_finite(const CountNotFiniteArgs& args) override {
    cpu::count_not_finite(args, pool_);
  }
  void zero_not_finite(const ZeroNotFiniteArgs& args) override {
    cpu::zero_not_finite(args, pool_);
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
    // The padding of the last tile is zero, as in a state that was never anything else.
    fill_zero(state, state_bytes(cell, n));
    for (int s = 0; s < size; ++s) {
      for (std::int64_t i = 0; i < n; ++i) tiled[state_index(size, s, i)] = host_state[s * n + i];
    }
  }

  void fill_random(const FillRandomArgs& args) override { cpu::fill_random(args, pool_); }
  void gemm(const GemmArgs& args) override { cpu::gemm(args, pool_); }
  void bias_activation(const BiasActivationArgs& args) override {
    cpu::bias_activation(args, pool_);
  }
  void bias_activation_backward(const BiasActivationBackwardArgs& args) override {
    cpu::bias_activation_backward(args, pool_);
  }
  void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args) override {
    cpu::softmax_cross_entropy(args, pool_);
  }
  void gather_minibatch(const GatherMinibatchArgs& args) override {
    cpu::gather_minibatch(args, pool_);
  }
  void quadratic(const QuadraticArgs& args) override { cpu::quadratic(args, pool_); }

 private:
  static cpu::ThreadPool start_threads(int threads) {
    try {
      return cpu::ThreadPool(threads);
    } catch (const std::system_error& error) {
      throw Error(Status::kOutOfMemory, "the system cannot start " + std::to_string(threads) +
                                            " threads (" + error.code().message() +
                                            "); ask for fewer");
    }
  }

  /// Per worker, which replays one tile at a time.
  static RecomputeCost recompute_cost(const CellConfig& cell) {
    if (is_tuned(cell)) {
      const cpu::ReplayBytes bytes = cpu::lstm_replay_bytes(cell.lstm);
      return {bytes.per_step, bytes.per_checkpoint};
    }
    const std::size_t state = checked_size({cell_state_size(cell), kTile, sizeof(float)});
    return {state, state};
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
