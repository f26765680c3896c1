// The interface between the engine and a device. A Backend is one device and one ordered stream of
// work: ops run in the order of their calls and may still be running when a call returns;
// download() and synchronize() wait. No code above this header depends on the kind of device.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/op_list.h"
#include "kernels/precision.h"

namespace l2o {

enum class DeviceKind : int { kAuto, kCpu, kCuda };

struct DeviceInfo {
  DeviceKind kind = DeviceKind::kCpu;
  std::string name;                       ///< "cpu" or "cuda", as in configs and reports
  std::string description;                ///< CPU or GPU, vector instruction set
  int threads = 0;                        ///< worker threads (CPU)
  Precision precision = Precision::kF32;  ///< the learned rule computes in it
  std::size_t memory_bytes = 0;           ///< memory that this process may use; 0: unknown
};

struct BackendOptions {
  static constexpr int kMaxThreads = 1024;

  DeviceKind device = DeviceKind::kAuto;
  int threads = 0;  ///< CPU worker threads, at most kMaxThreads; 0 = one per available core
  std::size_t memory_limit = 0;  ///< bytes that the backend may allocate; 0: all available
  /// Called periodically during long work, which ends if it throws: see Backend::poll().
  std::function<void()> poll = {};
  std::chrono::milliseconds poll_interval{100};  ///< minimum time between two calls
  // Read by backends of GPUs only.
  Precision precision = Precision::kMixed;
  int number = 0;          ///< index of the GPU
  void* stream = nullptr;  ///< the caller's stream, on which to queue work; null: its own
};

/// Ops that a backend has recorded and can replay.
class Recording {
 public:
  virtual ~Recording() = default;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const DeviceInfo& device() const = 0;
  /// The native stream (a cudaStream_t) on which ops are queued; null on a CPU. For user callbacks
  /// that queue their own work.
  virtual void* stream() const { return nullptr; }

  // Memory. allocate() returns 64-byte aligned memory. If the new and the existing memory do not
  // fit together, it throws kOutOfMemory, stating the number of bytes requested and in use.
  virtual void* allocate(std::size_t bytes) = 0;
  /// Work that is queued on stream() by then may still use the memory, ops and the caller's own; on
  /// a GPU, work of other streams that does must be done, or stream() must have been made to wait
  /// for it. A recording that uses it may not be repeated any more.
  virtual void release(void* memory) noexcept = 0;
  /// Bytes allocated and not released.
  virtual std::size_t memory_in_use() const = 0;
  virtual void upload(void* destination, const void* host_source, std::size_t bytes) = 0;
  virtual void download(void* host_destination, const void* source, std::size_t bytes) = 0;
  virtual void copy(void* destination, const void* source, std::size_t bytes) = 0;
  virtual void fill_zero(void* destination, std::size_t bytes) = 0;
  virtual void synchronize() = 0;

  /// Calls BackendOptions::poll unless it was called less than poll_interval ago. Loops over steps
  /// call this before each step; on a CPU, unroll_backward calls it while it runs.
  void poll() {
    if (!poll_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_poll_ < poll_interval_) return;
    last_poll_ = now;
    poll_();
  }

  /// Runs `work`, which must queue the same ops with the same arguments, including copies within
  /// the device, every time it is run with this recording, and must neither wait nor allocate
  /// memory. A device that benefits from it records the ops and then replays the recording.
  virtual void run(std::unique_ptr<Recording>& /*recording*/, const std::function<void()>& work) {
    work();
  }

  /// Describes in words which kernels run the update rule here.
  virtual std::string kernels_of(const CellConfig& cell) const = 0;

  // Memory of the update rule. Sizes are exact and known before anything is allocated.
  virtual std::size_t packed_bytes(const CellConfig& cell) const = 0;
  virtual std::size_t state_bytes(const CellConfig& cell, std::int64_t n) const = 0;
  /// Size of `scratch` in bytes for these args; pointers are not read.
  virtual std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const = 0;
  /// Longest segment between recompute checkpoints that runs at full speed here, 1..unroll_length.
  /// A budget (bytes of replay scratch per worker) of 0 means the best value for the device.
  virtual int plan_segment_length(const CellConfig& cell, int unroll_length,
                                  std::size_t budget) const = 0;
  /// Convert state between the backend's layout and host memory [S, N] float32; both wait.
  virtual void export_state(const CellConfig& cell, std::int64_t n, const void* state,
                            float* host_state) = 0;
  virtual void import_state(const CellConfig& cell, std::int64_t n, const float* host_state,
                            void* state) = 0;

  // One method per op: virtual void step(const StepArgs& args) = 0; and so on.
#define L2O_DECLARE_OP(op, Args) virtual void op(const Args& args) = 0;
  L2O_FOR_EACH_OP(L2O_DECLARE_OP)
#undef L2O_DECLARE_OP

 private:
  friend std::unique_ptr<Backend> make_backend(const BackendOptions& options);

  std::function<void()> poll_;
  std::chrono::milliseconds poll_interval_{};
  std::chrono::steady_clock::time_point last_poll_;
};

/// Opens a device; kAuto selects the best one available. Throws kDeviceUnavailable, stating what is
/// missing.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

/// Whether this build supports any device other than the CPU.
bool is_built_for_accelerators();
/// Why kAuto selects the CPU instead of the GPU of that number; empty if it selects the GPU.
std::string why_no_accelerator(int number = 0);

/// Every device of this machine that this build can use.
std::vector<DeviceInfo> list_devices();

}  // namespace l2o
