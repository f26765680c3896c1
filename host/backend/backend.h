// The seam between the engine and a device. One Backend is one device and one ordered stream of
// work: ops run in the order of their calls and may still be running when a call returns;
// download() and synchronize() wait. Nothing above this header knows which device it is.
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
  std::string name;                       ///< "cpu", "cuda": what configs and reports call it
  std::string description;                ///< processor or GPU, vector instruction set
  int threads = 0;                        ///< worker threads (CPU)
  Precision precision = Precision::kF32;  ///< of the learned rule
  std::size_t memory_bytes = 0;           ///< memory that this process may use; 0: not known
};

struct BackendOptions {
  static constexpr int kMaxThreads = 1024;

  DeviceKind device = DeviceKind::kAuto;
  int threads = 0;  ///< CPU worker threads, at most kMaxThreads; 0 = one per available core
  std::size_t memory_limit = 0;  ///< bytes that the backend may take; 0: all there is
  /// Called now and then by long work, which ends where it throws: see Backend::poll().
  std::function<void()> poll = {};
  std::chrono::milliseconds poll_interval{100};  ///< at least so long between two calls
  // Read by backends of GPUs only.
  Precision precision = Precision::kMixed;
  int number = 0;          ///< which GPU
  void* stream = nullptr;  ///< the caller's stream, to queue work on; null: one of its own
};

/// Ops that a backend has recorded and can repeat.
class Recording {
 public:
  virtual ~Recording() = default;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const DeviceInfo& device() const = 0;
  /// What ops are queued on, as the device's own interface calls it (a cudaStream_t); null on a
  /// processor. For user callbacks that queue work of their own.
  virtual void* stream() const { return nullptr; }

  // Memory. allocate() gives 64-byte aligned memory; throws kOutOfMemory, saying how many bytes
  // were asked for and how many are in use, where all of them together would not fit.
  virtual void* allocate(std::size_t bytes) = 0;
  /// Work that is queued on stream() by then may still use the memory, ops and the caller's own; on
  /// a GPU, work of other streams that does must be done, or stream() must have been made to wait
  /// for it. A recording that uses it may not be repeated any more.
  virtual void release(void* memory) noexcept = 0;
  /// Bytes taken and not released.
  virtual std::size_t memory_in_use() const = 0;
  virtual void upload(void* destination, const void* host_source, std::size_t bytes) = 0;
  virtual void download(void* host_destination, const void* source, std::size_t bytes) = 0;
  virtual void copy(void* destination, const void* source, std::size_t bytes) = 0;
  virtual void fill_zero(void* destination, std::size_t bytes) = 0;
  virtual void synchronize() = 0;

  /// Calls BackendOptions::poll unless it was called a moment ago. Loops over steps call it before
  /// each, and a processor's unroll_backward while it works.
  void poll() {
    if (!poll_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_poll_ < poll_interval_) return;
    last_poll_ = now;
    poll_();
  }

  /// Runs `work`, which queues the same ops with the same arguments whenever it is run with this
  /// recording, copies within the device included, and neither waits nor takes memory. A device
  /// that gains by it records them and then repeats the recording.
  virtual void run(std::unique_ptr<Recording>& /*recording*/, const std::function<void()>& work) {
    work();
  }

  /// Which kernels run the update rule here, in words.
  virtual std::string kernels_of(const CellConfig& cell) const = 0;

  // Memory of the update rule. Sizes are exact and known before anything is allocated.
  virtual std::size_t packed_bytes(const CellConfig& cell) const = 0;
  virtual std::size_t state_bytes(const CellConfig& cell, std::int64_t n) const = 0;
  /// Bytes of `scratch` that these args need; pointers are not read.
  virtual std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const = 0;
  /// Longest segment between recompute checkpoints that runs at full speed here, 1..unroll_length.
  /// A budget (bytes of replay scratch per worker) of 0 means the device's own best.
  virtual int plan_segment_length(const CellConfig& cell, int unroll_length,
                                  std::size_t budget) const = 0;
  /// State between the backend's layout and host memory [S, N] float32; both wait.
  virtual void export_state(const CellConfig& cell, std::int64_t n, const void* state,
                            float* host_state) = 0;
  virtual void import_state(const CellConfig& cell, std::int64_t n, const float* host_state,
                            void* state) = 0;

  // A method an op: virtual void step(const StepArgs& args) = 0; and so on.
#define L2O_DECLARE_OP(op, Args) virtual void op(const Args& args) = 0;
  L2O_FOR_EACH_OP(L2O_DECLARE_OP)
#undef L2O_DECLARE_OP

 private:
  friend std::unique_ptr<Backend> make_backend(const BackendOptions& options);

  std::function<void()> poll_;
  std::chrono::milliseconds poll_interval_{};
  std::chrono::steady_clock::time_point last_poll_;
};

/// Opens a device. kAuto takes the best there is. Throws kDeviceUnavailable, saying what is
/// missing.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

/// Whether this build knows any device but the processor.
bool is_built_for_accelerators();
/// Why kAuto takes the processor instead of the GPU of that number; empty where it takes the GPU.
std::string why_no_accelerator(int number = 0);

/// Every device of this machine that this build can use.
std::vector<DeviceInfo> list_devices();

}  // namespace l2o
