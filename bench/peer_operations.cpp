#include "bench/peer_operations.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "bench/synthetic_images.h"
#include "host/backend/buffer.h"
#include "host/core/error.h"
#include "host/engine/training_loop.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"
#include "host/optimizer/optimizer.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

constexpr int kUnrollLength = 20;

/// Returns [rows, count]: coordinates first .. first + count - 1 of a file [rows, N] of float32.
std::vector<float> read_columns(const std::string& path, std::size_t rows, std::size_t first,
                                std::size_t count) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::size_t n = static_cast<std::size_t>(file.tellg()) / (rows * sizeof(float));
  std::vector<float> values(rows * count);
  for (std::size_t row = 0; row < rows; ++row) {
    file.seekg(static_cast<std::streamoff>((row * n + first) * sizeof(float)));
    file.read(reinterpret_cast<char*>(values.data() + row * count),
              static_cast<std::streamsize>(count * sizeof(float)));
  }
  if (!file) throw Error(Status::kInputOutput, path + " cannot be read");
  return values;
}

/// The learned rule with the problem's phi.
Optimizer rule_of_problem(const std::string& directory) {
  Optimizer optimizer = make_lstm_optimizer({}, OutputInit::kZero, 1);
  const std::size_t size = optimizer.meta_parameters.size();
  optimizer.meta_parameters = read_columns(directory + "/phi.f32", size, 0, 1);
  return optimizer;
}

/// The step, or the backward pass of an unroll.
class RuleOperation final : public PeerOperation {
 public:
  RuleOperation(Backend& backend, bool is_step, const PeerProblem& problem)
      : backend_(backend),
        rule_(backend, rule_of_problem(problem.directory)),
        is_step_(is_step),
        n_(problem.n),
        host_state_(read_columns(problem.directory + "/state.f32",
                                 static_cast<std::size_t>(cell_state_size(rule_.cell())),
                                 problem.first, n_)),
        host_theta_(read_columns(problem.directory + "/theta.f32", 1, problem.first, n_)),
        state_(backend, rule_.cell(), static_cast<std::int64_t>(n_)),
        theta_(backend, n_),
        trace_(backend, (kUnrollLength + 1) * n_),
        weights_(backend, kUnrollLength + 1),
        meta_gradient_(backend, rule_.meta_parameters().size()) {
    trace_.upload(
        read_columns(problem.directory + "/trace.f32", kUnrollLength + 1, problem.first, n_));
    weights_.upload(std::vector<float>(kUnrollLength + 1, 1.0F));
    backward_ = unroll_backward_args(rule_, static_cast<std::int64_t>(n_), kUnrollLength);
    backward_.trace = trace_.data();
    backward_.weights = weights_.data();
    backward_.start_state = state_.data();
    backward_.meta_gradient = meta_gradient_.data();
    scratch_ = Buffer<std::byte>(backend, backend.unroll_backward_scratch_bytes(backward_));
    backward_.scratch = scratch_.data();
    reset();
  }

  void run(int calls) override {
    for (int call = 0; call < calls; ++call) {
      if (is_step_) {
        const float* gradient = trace_.data() + static_cast<std::size_t>(call % kUnrollLength) * n_;
        step(rule_, backward_.n, gradient, state_, theta_.data());
      } else {
        backend_.unroll_backward(backward_);
      }
    }
    backend_.synchronize();
  }

  std::vector<float> results() override {
    reset();
    run(is_step_ ? kUnrollLength : 1);
    if (!is_step_) return meta_gradient_.download();
    std::vector<float> all = theta_.download();
    std::vector<float> state(host_state_.size());
    backend_.export_state(rule_.cell(), backward_.n, state_.data(), state.data());
    all.insert(all.end(), state.begin(), state.end());
    return all;
  }

 private:
  void reset() {
    backend_.import_state(rule_.cell(), backward_.n, host_state_.data(), state_.data());
    theta_.upload(host_theta_);
  }

  Backend& backend_;
  DeviceOptimizer rule_;
  bool is_step_;
  std::size_t n_;
  std::vector<float> host_state_;  // [S, n]
  std::vector<float> host_theta_;  // [n]
  CoordinateState state_;
  Buffer<float> theta_;          // [n]
  Buffer<float> trace_;          // [T+1, n]
  Buffer<float> weights_;        // [T+1]
  Buffer<float> meta_gradient_;  // [P]
  Buffer<std::byte> scratch_;
  UnrollBackwardArgs backward_;
};

/// An episode of meta-training as `l2o train` runs it with its defaults, on the network 784-20-10.
class MnistEpisode final : public PeerOperation {
 public:
  explicit MnistEpisode(Backend& backend) : backend_(backend) { reset(); }

  void run(int calls) override {
    for (int call = 0; call < calls; ++call) {
      while (!loop_->run_unroll()) continue;
      last_ = loop_->finish_episode();
    }
    backend_.synchronize();
  }

  std::vector<float> results() override {
    reset();
    const std::vector<float> before = loop_->model().only_rule().meta_parameters;
    run(1);
    const std::vector<float> after = loop_->model().only_rule().meta_parameters;
    float largest = 0.0F;
    for (std::size_t i = 0; i < after.size(); ++i) {
      largest = std::max(largest, std::abs(after[i] - before[i]));
    }
    return {static_cast<float>(last_.meta_loss), largest};
  }

 private:
  void reset() {
    ConfigReader options = ConfigReader::from_text("name = \"mnist\"\n", "mnist_episode");
    optimizee_ = make_optimizee({backend_, 1, data_.directory()}, options);
    loop_ = std::make_unique<TrainingLoop>(
        backend_, TrainingConfig{}, make_model(make_lstm_optimizer({}, OutputInit::kZero, 1)),
        std::vector<Member>{{.optimizee = optimizee_.get()}});
  }

  Backend& backend_;
  SyntheticImages data_;
  std::unique_ptr<Optimizee> optimizee_;
  std::unique_ptr<TrainingLoop> loop_;
  EpisodeReport last_;
};

}  // namespace

std::unique_ptr<PeerOperation> make_peer_operation(Backend& backend, const std::string& name,
                                                   const PeerProblem& problem) {
  if (name == "mnist_episode") return std::make_unique<MnistEpisode>(backend);
  if (name != "step" && name != "unroll_backward") {
    throw Error(Status::kUsage, "unknown operation " + name);
  }
  return std::make_unique<RuleOperation>(backend, name == "step", problem);
}

}  // namespace l2o
