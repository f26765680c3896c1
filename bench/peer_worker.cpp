// The engine as a contestant of peers/compare.py: answers the commands that peers/worker.py
// describes, one JSON object a line; the problem's files are described in peers/problem.py.
#include <sched.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/backend/buffer.h"
#include "host/core/error.h"
#include "host/optimizer/device_optimizer.h"
#include "host/optimizer/optimizer.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

using Json = nlohmann::json;

constexpr int kUnrollLength = 20;

/// [rows, count]: the coordinates first .. first + count - 1 of a file [rows, N] of float32.
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

void write_floats(const std::string& path, const std::vector<float>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
  file.close();
  if (!file) throw Error(Status::kInputOutput, path + " cannot be written");
}

/// The learned rule with the problem's phi.
Optimizer rule_of_problem(const std::string& directory) {
  Optimizer optimizer = make_lstm_optimizer({}, OutputInit::kZero, 1);
  const std::size_t size = optimizer.meta_parameters.size();
  optimizer.meta_parameters = read_columns(directory + "/phi.f32", size, 0, 1);
  return optimizer;
}

/// One of the two operations over the first n of this process's coordinates, on the device.
class Operation {
 public:
  Operation(Backend& backend, const std::string& directory, const std::string& op,
            std::size_t first, std::size_t n)
      : backend_(backend),
        rule_(backend, rule_of_problem(directory)),
        is_step_(op == "step"),
        n_(n),
        host_state_(read_columns(directory + "/state.f32",
                                 static_cast<std::size_t>(cell_state_size(rule_.cell())), first,
                                 n)),
        host_theta_(read_columns(directory + "/theta.f32", 1, first, n)),
        state_(backend, rule_.cell(), static_cast<std::int64_t>(n)),
        theta_(backend, n),
        trace_(backend, (kUnrollLength + 1) * n),
        weights_(backend, kUnrollLength + 1),
        meta_gradient_(backend, rule_.meta_parameters().size()) {
    if (!is_step_ && op != "unroll_backward") throw Error(Status::kUsage, "no operation " + op);
    trace_.upload(read_columns(directory + "/trace.f32", kUnrollLength + 1, first, n));
    weights_.upload(std::vector<float>(kUnrollLength + 1, 1.0F));
    backward_ = unroll_backward_args(rule_, static_cast<std::int64_t>(n), kUnrollLength);
    backward_.trace = trace_.data();
    backward_.weights = weights_.data();
    backward_.start_state = state_.data();
    backward_.meta_gradient = meta_gradient_.data();
    scratch_ = Buffer<std::byte>(backend, backend.unroll_backward_scratch_bytes(backward_));
    backward_.scratch = scratch_.data();
    reset();
  }

  void run(int calls) {
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

  /// `step`: theta [n], then the state [S, n], after T steps; `unroll_backward`: [P].
  std::vector<float> results() {
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

struct Flags {
  std::string problem;
  std::size_t first = 0;
  std::size_t count = 0;
  std::vector<int> cores;
};

/// The backend counts the cores that it may use.
void stay_on(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<std::size_t>(core), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    throw Error(Status::kUsage, "these cores may not be used");
  }
}

class Worker {
 public:
  explicit Worker(const Flags& flags) : flags_(flags), backend_(make_backend({})) {}

  Json description() const {
    return {{"name", "l2o"},
            {"version", std::string(L2O_VERSION) + ", " + backend_->device().description},
            {"variants", {{"step", {"tuned"}}, {"unroll_backward", {"tuned"}}}}};
  }

  Json obey(const Json& message) {
    const std::string command = message.at("command");
    if (command == "clear") {
      slots_.clear();
      return Json::object();
    }
    const std::string slot = message.at("slot").dump();
    if (command == "prepare") {
      slots_.erase(slot);
      slots_[slot] = std::make_unique<Operation>(*backend_, flags_.problem, message.at("op"),
                                                 flags_.first, message.at("n"));
      slots_[slot]->run(1);
      return Json::object();
    }
    Operation& operation = *slots_.at(slot);
    if (command == "run") {
      const auto start = std::chrono::steady_clock::now();
      operation.run(message.at("calls"));
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
      return {{"seconds", time.count()}};
    }
    if (command == "results") {
      write_floats(message.at("path"), operation.results());
      return Json::object();
    }
    throw Error(Status::kUsage, "unknown command " + command);
  }

 private:
  Flags flags_;
  std::unique_ptr<Backend> backend_;
  std::map<std::string, std::unique_ptr<Operation>> slots_;
};

void serve(const Flags& flags) {
  stay_on(flags.cores);
  Worker worker(flags);
  std::cout << worker.description().dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = worker.obey(Json::parse(line));
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace
}  // namespace l2o

int main(int argc, char** argv) {
  l2o::Flags flags;
  CLI::App app("The engine as a contestant of bench/peers/compare.py");
  app.add_option("--problem", flags.problem, "directory of the problem's files")->required();
  app.add_option("--first", flags.first, "first coordinate of this process")->required();
  app.add_option("--count", flags.count, "its coordinates")->required();
  app.add_option("--cores", flags.cores, "cores to run on: 0,1")->required()->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  try {
    l2o::serve(flags);
    return 0;
  } catch (const std::exception& error) {
    std::cout << l2o::Json{{"error", error.what()}}.dump() << std::endl;
    return 1;
  }
}
