#include "host/optimizee/callback.h"

#include <utility>

namespace l2o {
namespace {

class CallbackOptimizee final : public Optimizee {
 public:
  CallbackOptimizee(ObjectiveFunctions functions, int tasks)
      : functions_(std::move(functions)), tasks_(tasks) {
    add_parameter("theta", {functions_.coordinates});
  }

  int tasks() const override { return tasks_; }

  void sample(const TaskRange& range) override {
    if (!functions_.sample) return;
    for (int slot = 0; slot < tasks_; ++slot) {
      functions_.sample(slot, range.seed, range.first + static_cast<std::uint32_t>(slot));
    }
  }

  void initial_parameters(ParameterBlocks theta) override {
    float* const first = layout().data(kTheta, theta);
    for (int slot = 0; slot < tasks_; ++slot) {
      functions_.initial_parameters(slot, first + slot * layout().stride_of(kTheta));
    }
  }

  void start_evaluations(std::uint32_t first) override { first_evaluation_ = first; }

  void value_and_gradient(ConstParameterBlocks theta, std::uint32_t evaluation, float* loss,
                          ParameterBlocks gradient) override {
    for (int slot = 0; slot < tasks_; ++slot) {
      const std::int64_t first = slot * layout().stride_of(kTheta);
      functions_.value_and_gradient(slot, first_evaluation_ + evaluation,
                                    layout().data(kTheta, theta) + first, loss + slot,
                                    layout().data(kTheta, gradient) + first);
    }
  }

  /// Nobody knows what a caller's function does.
  bool is_recordable() const override { return false; }

 private:
  static constexpr int kTheta = 0;  // the only tensor

  ObjectiveFunctions functions_;
  int tasks_;
  std::uint32_t first_evaluation_ = 0;
};

}  // namespace

std::unique_ptr<Optimizee> make_callback_optimizee(ObjectiveFunctions functions, int tasks) {
  return std::make_unique<CallbackOptimizee>(std::move(functions), tasks);
}

}  // namespace l2o
