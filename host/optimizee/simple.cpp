// f(x) = sum of x_i^2: the function of DeepMind's own test, see docs/math.md section 5.
#include <utility>

#include "host/backend/buffer.h"
#include "host/backend/checked_size.h"
#include "host/optimizee/optimizee.h"

namespace l2o {
namespace {

/// Implemented as `dimension` quadratic functions of one coordinate each: W = 1, y = 0.
class Simple final : public Optimizee {
 public:
  Simple(const OptimizeeContext& context, int dimension, float initial)
      : backend_(context.backend),
        tasks_(context.tasks),
        dimension_(dimension),
        initial_(initial),
        matrices_(backend_, checked_size({tasks_, dimension_})),
        targets_(backend_, checked_size({tasks_, dimension_})) {
    add_parameter("theta", {dimension_});
  }

  int tasks() const override { return tasks_; }

  /// All tasks are the same.
  void sample(const TaskRange&) override {
    if (std::exchange(is_filled_, true)) return;
    fill(1.0F, matrices_.data(), dimension_);
    targets_.fill_zero();
  }

  void initial_parameters(ParameterBlocks theta) override {
    fill(initial_, layout().data(kTheta, theta), layout().stride_of(kTheta));
  }

  void start_evaluations(std::uint32_t) override {}

  void value_and_gradient(ConstParameterBlocks theta, std::uint32_t, float* loss,
                          ParameterBlocks gradient) override {
    QuadraticArgs args;
    args.batch = tasks_;
    args.functions = dimension_;
    args.dimension = 1;
    args.matrices = matrices_.data();
    args.targets = targets_.data();
    args.theta = layout().data(kTheta, theta);
    args.gradient = layout().data(kTheta, gradient);
    args.stride = layout().stride_of(kTheta);
    args.loss = loss;
    backend_.quadratic(args);
  }

 private:
  /// value + 0 * U: every coordinate of every task.
  void fill(float value, float* out, std::int64_t stride) {
    FillRandomArgs args;
    args.a = value;
    args.b = 0.0F;
    args.batch = tasks_;
    args.count = dimension_;
    args.out = out;
    args.stride = stride;
    backend_.fill_random(args);
  }

  static constexpr int kTheta = 0;  // the only tensor

  Backend& backend_;
  int tasks_;
  int dimension_;
  float initial_;
  Buffer<float> matrices_;  // [B, dimension]
  Buffer<float> targets_;   // [B, dimension]
  bool is_filled_ = false;  // both
};

}  // namespace

/// Keys:
///   dimension  coordinates of a task (1)
///   initial    every coordinate of theta_0 (1.0)
std::unique_ptr<Optimizee> make_simple(const OptimizeeContext& context, ConfigReader& options) {
  const auto dimension = static_cast<int>(options.integer("dimension", 1, 1, 1 << 30));
  const auto initial = static_cast<float>(options.number("initial", 1.0, -1e6, 1e6));
  return std::make_unique<Simple>(context, dimension, initial);
}

}  // namespace l2o
