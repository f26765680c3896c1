// The engine as a contestant of peers/compare.py: answers the commands that peers/worker.py
// describes, one JSON object per line. Its variants are the precisions that the device has.
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

#include "bench/peer_operations.h"
#include "host/core/error.h"
#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

using Json = nlohmann::json;

void write_floats(const std::string& path, const std::vector<float>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
  file.close();
  if (!file) throw Error(Status::kInputOutput, path + " cannot be written");
}

struct Flags {
  std::string problem;
  std::size_t first = 0;
  std::size_t count = 0;
  std::vector<int> cores;
  DeviceKind device = DeviceKind::kCpu;
  std::string target;  // instruction set; empty: the best
};

/// The backend then uses only these: it counts the cores that it may run on.
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
  explicit Worker(const Flags& flags) : flags_(flags) {
    BackendOptions options{.device = flags.device};
    std::vector<Precision> precisions = {Precision::kF32};
    if (flags.device == DeviceKind::kCuda) {
      precisions = {Precision::kF32, Precision::kMixed, Precision::kHalf};
    }
    for (const Precision precision : precisions) {
      options.precision = precision;
      backends_[precision_name(precision)] = make_backend(options);
    }
  }

  Json description() const {
    const std::string device = backends_.at("f32")->device().description;
    Json variants = Json::array();
    for (const auto& [precision, backend] : backends_) variants.push_back(precision);
    return {{"name", "l2o"},
            {"version", std::string(L2O_VERSION) + ", " + device},
            {"device", device},
            {"variants",
             {{"step", variants}, {"unroll_backward", variants}, {"mnist_episode", variants}}}};
  }

  Json obey(const Json& message) {
    const std::string command = message.at("command");
    if (command == "clear") {
      slots_.clear();
      return Json::object();
    }
    const std::string slot = message.at("slot").dump();
    if (command == "drop") {
      slots_.erase(slot);
      return Json::object();
    }
    if (command == "prepare") {
      slots_.erase(slot);
      slots_[slot] = make_peer_operation(
          *backends_.at(message.at("variant")), message.at("op"),
          {.directory = flags_.problem, .first = flags_.first, .n = message.at("n")});
      slots_[slot]->run(1);
      return Json::object();
    }
    PeerOperation& operation = *slots_.at(slot);
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
  std::map<std::string, std::unique_ptr<Backend>> backends_;  // by precision
  std::map<std::string, std::unique_ptr<PeerOperation>> slots_;
};

void serve(const Flags& flags) {
  stay_on(flags.cores);
  if (!flags.target.empty()) cpu::use_simd_target(flags.target);
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

// NOLINTNEXTLINE(bugprone-exception-escape): the process then dies, which the comparison detects
int main(int argc, char** argv) {
  l2o::Flags flags;
  CLI::App app("The engine as a contestant of bench/peers/compare.py");
  app.add_option("--problem", flags.problem, "directory of the problem's files")->required();
  app.add_option("--first", flags.first, "first coordinate of this process")->required();
  app.add_option("--count", flags.count, "number of its coordinates")->required();
  app.add_option("--cores", flags.cores, "cores to run on: 0,1")->required()->delimiter(',');
  const std::map<std::string, l2o::DeviceKind> devices = {{"cpu", l2o::DeviceKind::kCpu},
                                                          {"cuda", l2o::DeviceKind::kCuda}};
  app.add_option("--device", flags.device, "cpu or cuda")
      ->transform(CLI::CheckedTransformer(devices));
  app.add_option("--target", flags.target, "instruction set of the CPU, e.g. AVX2")
      ->check(CLI::IsMember(l2o::cpu::simd_targets()));
  CLI11_PARSE(app, argc, argv);
  try {
    l2o::serve(flags);
    return 0;
  } catch (const std::exception& error) {
    std::cout << l2o::Json{{"error", error.what()}}.dump() << std::endl;
    return 1;
  }
}
