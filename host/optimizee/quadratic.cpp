// Random quadratic functions, the paper's first experiment: f(theta) = ||W theta - y||^2.
#include "host/backend/buffer.h"
#include "host/backend/checked_size.h"
#include "host/optimizee/optimizee.h"

namespace l2o {
namespace {

struct QuadraticOptions {
  Distribution distribution;
  int functions;  // F
  int dimension;  // D
  float initial_sigma;
};

/// One task is the mean of F functions of D coordinates each, as in the paper's released code, so
/// each coordinate's gradient is that of its own function divided by F.
class Quadratic final : public Optimizee {
 public:
  Quadratic(const OptimizeeContext& context, const QuadraticOptions& options)
      : backend_(context.backend),
        tasks_(context.tasks),
        options_(options),
        matrices_(backend_, checked_size({tasks_, options_.functions, options_.dimension,
                                          options_.dimension})),
        targets_(backend_, checked_size({tasks_, options_.functions, options_.dimension})) {
    add_parameter("theta", {options_.functions, options_.dimension});
  }

  int tasks() const override { return tasks_; }

  void sample(const TaskRange& range) override {
    range_ = range;
    constexpr std::uint32_t kMatrices = 0;
    constexpr std::uint32_t kTargets = 1;
    fill(options_.distribution, 1.0F, RandomPurpose::kTaskData, kMatrices,
         size() * options_.dimension, matrices_.data());
    fill(options_.distribution, 1.0F, RandomPurpose::kTaskData, kTargets, size(), targets_.data());
  }

  void initial_parameters(ParameterBlocks theta) override {
    fill(Distribution::kNormal, options_.initial_sigma, RandomPurpose::kInitialParameters, 0,
         size(), layout().data(kTheta, theta), layout().stride_of(kTheta));
  }

  void start_evaluations(std::uint32_t) override {}

  void value_and_gradient(ConstParameterBlocks theta, std::uint32_t, float* loss,
                          ParameterBlocks gradient) override {
    QuadraticArgs args;
    args.batch = tasks_;
    args.functions = options_.functions;
    args.dimension = options_.dimension;
    args.scale = 1.0F / static_cast<float>(options_.functions);
    args.matrices = matrices_.data();
    args.targets = targets_.data();
    args.theta = layout().data(kTheta, theta);
    args.gradient = layout().data(kTheta, gradient);
    args.stride = layout().stride_of(kTheta);
    args.loss = loss;
    backend_.quadratic(args);
  }

 private:
  std::int64_t size() const { return layout().tensor(kTheta).size; }

  /// out [B, count] = scale times draws of each task's own stream.
  void fill(Distribution distribution, float scale, RandomPurpose purpose, std::uint32_t step,
            std::int64_t count, float* out, std::int64_t stride = 0) {
    FillRandomArgs args;
    args.distribution = distribution;
    args.b = scale;
    args.key = {range_.seed, purpose, range_.first, step};
    args.batch = tasks_;
    args.count = count;
    args.out = out;
    args.stride = stride == 0 ? count : stride;
    backend_.fill_random(args);
  }

  static constexpr int kTheta = 0;  // the only tensor

  Backend& backend_;
  int tasks_;
  QuadraticOptions options_;
  TaskRange range_;
  Buffer<float> matrices_;  // W [B, F, D, D]
  Buffer<float> targets_;   // y [B, F, D]
};

}  // namespace

/// Keys:
///   distribution   of W and y: "uniform", U[0,1) as in the paper's released code (default), or
///                  "gaussian", N(0,1) as in its text
///   functions      F (128)
///   dimension      D (10)
///   initial_sigma  theta_0 ~ N(0, initial_sigma^2) (0.01)
std::unique_ptr<Optimizee> make_quadratic(const OptimizeeContext& context, ConfigReader& options) {
  const std::string distribution =
      options.choice("distribution", "uniform", {"uniform", "gaussian"});
  return std::make_unique<Quadratic>(
      context,
      QuadraticOptions{
          .distribution =
              distribution == "uniform" ? Distribution::kUniform : Distribution::kNormal,
          .functions = static_cast<int>(options.integer("functions", 128, 1, 1 << 20)),
          .dimension = static_cast<int>(options.integer("dimension", 10, 1, 1 << 12)),
          .initial_sigma = static_cast<float>(options.number("initial_sigma", 0.01, 0.0, 1e3)),
      });
}

}  // namespace l2o
