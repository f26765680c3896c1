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
    if (functions_.sample) functions_.sample(range.seed, range.first, tasks_);
  }

  void initial_parameters(ParameterBlocks theta) override {
    functions_.initial_parameters(tasks_, layout().data(kTheta, theta));
  }

  void start_evaluations(std::uint32_t first) override { first_evaluation_ = first; }

  void value_and_gradient(ConstParameterBlocks theta, std::uint32_t evaluation, float* loss,
                          ParameterBlocks gradient) override {
    functions_.value_and_gradient(first_evaluation_ + evaluation, tasks_,
                                  layout().data(kTheta, theta), loss,
                                  layout().data(kTheta, gradient));
  }

  bool is_recordable() const override { return functions_.is_recordable; }

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
