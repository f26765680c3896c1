// A backend that adds up what the ops it passes on cost (kernels/op_cost.h). Whatever is benched
// runs through it, so that nobody has to write down the work of a whole optimizee or unroll.
#pragma once

#include "bench/roofs.h"
#include "host/backend/backend.h"

namespace l2o {

/// What all ops since the last reset() cost.
struct Work {
  double flops = 0.0;
  double bytes = 0.0;
  /// The time it would take at the roofs: of each op the longer of its arithmetic and its traffic.
  double roof_seconds = 0.0;
};

class CostMeter final : public Backend {
 public:
  CostMeter(Backend& backend, const Roofs& roofs) : backend_(backend), roofs_(roofs) {}

  void reset() { work_ = {}; }
  const Work& work() const { return work_; }
  /// Whether run() lets the device record and repeat; at first it does.
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

  std::size_t packed_bytes(const CellConfig& cell) const override;
  std::size_t state_bytes(const CellConfig& cell, std::int64_t n) const override;
  std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const override;
  int plan_segment_length(const CellConfig& cell, int unroll_length,
                          std::size_t budget) const override;
  void export_state(const CellConfig& cell, std::int64_t n, const void* state,
                    float* host_state) override;
  void import_state(const CellConfig& cell, std::int64_t n, const float* host_state,
                    void* state) override;

  void pack(const PackArgs& args) override;
  void step(const StepArgs& args) override;
  void unroll_backward(const UnrollBackwardArgs& args) override;
  void meta_update(const MetaUpdateArgs& args) override;
  void count_not_finite(const CountNotFiniteArgs& args) override;
  void zero_not_finite(const ZeroNotFiniteArgs& args) override;
  void fill_random(const FillRandomArgs& args) override;
  void gemm(const GemmArgs& args) override;
  void bias_activation(const BiasActivationArgs& args) override;
  void bias_activation_backward(const BiasActivationBackwardArgs& args) override;
  void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args) override;
  void gather_minibatch(const GatherMinibatchArgs& args) override;
  void quadratic(const QuadraticArgs& args) override;

 private:
  void add(double op_flops, double op_bytes, bool on_tensor_cores = false);
  /// An op of an update rule, whose products tensor cores may do.
  template <class Args>
  void add_rule(const Args& args);

  Backend& backend_;
  const Roofs& roofs_;
  Work work_;
  bool records_ = true;
};

}  // namespace l2o
