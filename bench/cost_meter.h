// A backend that adds up the costs of the ops that it forwards (kernels/op_cost.h). Every benchmark
// runs through it, so that nobody has to write down the work of a whole optimizee or unroll.
#pragma once

#include "bench/roofs.h"
#include "host/backend/backend.h"
#include "kernels/op_cost.h"

namespace l2o {

/// The cost of all ops since the last reset().
struct Work {
  double flops = 0.0;
  double bytes = 0.0;
  /// The time it would take at the roofs: for each op the longer of its arithmetic and its traffic.
  double roof_seconds = 0.0;
};

class CostMeter final : public Backend {
 public:
  CostMeter(Backend& backend, const Roofs& roofs) : backend_(backend), roofs_(roofs) {}

  void reset() { work_ = {}; }
  const Work& work() const { return work_; }
  /// Sets whether run() lets the device record and repeat; initially true.
  void set_records(bool records) { records_ = records; }

  const DeviceInfo& device() const override { return backend_.device(); }
  void* allocate(std::size_t bytes) override { return backend_.allocate(bytes); }
  void release(void* memory) noexcept override { backend_.release(memory); }
  std::size_t memory_in_use() const override { return backend_.memory_in_use(); }
  void upload(void* destination, const void* source, std::size_t bytes) override;
  void download(void* destination, const void* source, std::size_t bytes) override;
  void copy(void* destination, const void* source, std::size_t bytes) override;
  void fill_zero(void* destination, std::size_t bytes) override;
  void synchronize() override { backend_.synchronize(); }
  void run(std::unique_ptr<Recording>& recording, const std::function<void()>& work) override;

  std::string kernels_of(const CellConfig& cell) const override {
    return backend_.kernels_of(cell);
  }
  std::size_t packed_bytes(const CellConfig& cell) const override;
  std::size_t state_bytes(const CellConfig& cell, std::int64_t n) const override;
  std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const override;
  int plan_segment_length(const CellConfig& cell, int unroll_length,
                          std::size_t budget) const override;
  void export_state(const CellConfig& cell, std::int64_t n, const void* state,
                    float* host_state) override;
  void import_state(const CellConfig& cell, std::int64_t n, const float* host_state,
                    void* state) override;

#define L2O_METER_OP(op, Args)         \
  void op(const Args& args) override { \
    backend_.op(args);                 \
    add_op(args);                      \
  }
  L2O_FOR_EACH_OP(L2O_METER_OP)
#undef L2O_METER_OP

 private:
  void add(double op_flops, double op_bytes, bool on_tensor_cores = false);
  template <class Args>
  void add_op(const Args& args) {
    // Tensor cores may compute the products of an update rule.
    if constexpr (requires(TensorCores tensor_cores) { flops(args, tensor_cores); }) {
      const TensorCores tensor_cores = tensor_cores_of(device(), args.cell);
      add(flops(args, tensor_cores), bytes(args, tensor_cores), tensor_cores.has_value());
    } else {
      add(flops(args), bytes(args));
    }
  }

  Backend& backend_;
  const Roofs& roofs_;
  Work work_;
  bool records_ = true;
};

}  // namespace l2o
