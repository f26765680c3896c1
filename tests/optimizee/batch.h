// A batch of tasks with the memory for its evaluation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/backend/buffer.h"
#include "host/optimizee/optimizee.h"
#include "kernels/math/philox.h"

namespace l2o {

class Batch {
 public:
  struct Evaluation {
    std::vector<float> loss;      // [B]
    std::vector<float> gradient;  // [B, coordinates]
    bool operator==(const Evaluation&) const = default;
  };

  /// `options` is the text of the optimizee's table, including its name.
  Batch(const std::string& options, const std::string& data_dir, int tasks, const TaskRange& range,
        int threads = 2)
      : backend_(make_backend({DeviceKind::kCpu, threads})) {
    ConfigReader reader = ConfigReader::from_text(options, "test");
    optimizee_ =
        make_optimizee({.backend = *backend_, .tasks = tasks, .data_dir = data_dir}, reader);
    reader.finish();
    optimizee_->sample(range);
    const auto batch = static_cast<std::size_t>(optimizee_->tasks());
    theta_ = Buffer<float>(*backend_, batch * coordinates());
    gradient_ = Buffer<float>(*backend_, batch * coordinates());
    loss_ = Buffer<float>(*backend_, batch);
  }

  Optimizee& optimizee() { return *optimizee_; }
  std::size_t coordinates() const { return static_cast<std::size_t>(optimizee_->coordinates()); }

  std::vector<float> initial_parameters() {
    float* const theta = theta_.data();
    optimizee_->initial_parameters({&theta, 1});
    return theta_.download();
  }

  /// sigma times the first N(0,1) draws of a stream, `count` for each of `tasks` tasks.
  std::vector<float> normal_draws(const RandomKey& key, int tasks, std::size_t count, float sigma) {
    Buffer<float> draws(*backend_, static_cast<std::size_t>(tasks) * count);
    backend_->fill_random({.distribution = Distribution::kNormal,
                           .b = sigma,
                           .key = key,
                           .batch = tasks,
                           .count = static_cast<std::int64_t>(count),
                           .out = draws.data(),
                           .stride = static_cast<std::int64_t>(count)});
    return draws.download();
  }

  Evaluation evaluate(const std::vector<float>& theta, std::uint32_t evaluation = 0) {
    theta_.upload(theta);
    optimizee_->start_evaluations(evaluation);
    const float* const at = theta_.data();
    float* const gradient = gradient_.data();
    optimizee_->value_and_gradient({&at, 1}, 0, loss_.data(), {&gradient, 1});
    return {loss_.download(), gradient_.download()};
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Optimizee> optimizee_;
  Buffer<float> theta_;
  Buffer<float> gradient_;
  Buffer<float> loss_;
};

/// Numbers from U[-1, 1).
inline std::vector<float> uniform_numbers(std::uint32_t stream, std::size_t count) {
  const RandomKey key{.seed = 3, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = 2.0F * uniform_from_bits(random_bits(key, i)) - 1.0F;
  }
  return values;
}

}  // namespace l2o
