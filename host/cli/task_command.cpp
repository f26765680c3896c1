// l2o task: summarizes a configuration before a long run on it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "host/cli/command.h"
#include "host/cli/config_flags.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/progress.h"
#include "host/core/text.h"
#include "host/engine/task_report.h"

namespace l2o::cli {
namespace {

struct TaskFlags {
  ConfigFlags config;
  bool as_json = false;
  DeviceFlags device;
};

std::string json_of(const TaskReport& report) {
  nlohmann::ordered_json json;
  for (const MemberReport& member : report.members) {
    nlohmann::ordered_json entry = {{"label", member.label},
                                    {"tasks", member.tasks},
                                    {"coordinates", member.coordinates},
                                    {"initial_loss", member.initial_loss},
                                    {"slope_ratio", member.slope_ratio},
                                    {"evaluation_seconds", member.evaluation_seconds}};
    for (const TensorReport& tensor : member.tensors) {
      nlohmann::ordered_json own = {
          {"name", tensor.name}, {"shape", tensor.shape}, {"size", tensor.size}};
      if (!tensor.rule.empty()) own["rule"] = tensor.rule;
      entry["tensors"].push_back(std::move(own));
    }
    json["members"].push_back(std::move(entry));
  }
  json["episodes"] = report.episodes;
  json["steps"] = report.steps;
  json["memory_bytes"] = report.memory;
  json["trace_bytes"] = report.unroll_memory.trace;
  json["state_bytes"] = report.unroll_memory.state;
  json["replay_bytes"] = report.unroll_memory.replay;
  json["episode_seconds"] = report.episode_seconds;
  return json_line(json);
}

std::string text_of(const TaskReport& report) {
  std::string out;
  for (const MemberReport& member : report.members) {
    out += fmt::format("{}: {} coordinates per task, {} {} per episode\n", member.label,
                       member.coordinates, member.tasks, member.tasks == 1 ? "task" : "tasks");
    std::size_t width = 0;
    for (const TensorReport& tensor : member.tensors) width = std::max(width, tensor.name.size());
    for (const TensorReport& tensor : member.tensors) {
      out += fmt::format("  {:<{}} {:>10}  {}{}\n", tensor.name, width, tensor.size,
                         fmt::join(tensor.shape, " x "),
                         tensor.rule.empty() ? "" : fmt::format("  rule {}", tensor.rule));
    }
    out += fmt::format("  loss at the start {:.4g}; f and its gradient take {:.3g} ms\n",
                       member.initial_loss, 1e3 * member.evaluation_seconds);
    const double error = std::abs(member.slope_ratio - 1.0);
    out += fmt::format("  slope by differences / gradient: {:.4f}{}\n", member.slope_ratio,
                       error < 0.02 ? ""
                                    : "  (expected: 1; a loss with steps or kinks, or a wrong "
                                      "gradient)");
  }
  const auto megabytes = [](std::size_t bytes) { return static_cast<double>(bytes) / 1e6; };
  out += fmt::format(
      "memory: {:.1f} MB: gradient trace {:.1f}, state {:.1f}, replay {:.1f}, the rest for the "
      "tasks\n",
      megabytes(report.memory), megabytes(report.unroll_memory.trace),
      megabytes(report.unroll_memory.state), megabytes(report.unroll_memory.replay));
  out += fmt::format("an episode of {} steps: {:.3g} s; {} episodes: {}, plus the evaluations\n",
                     report.steps, report.episode_seconds, report.episodes,
                     duration_text(report.episode_seconds * static_cast<double>(report.episodes)));
  return out;
}

int run_task(const TaskFlags& flags) {
  ConfigReader config = read_config(flags.config);
  const std::unique_ptr<Backend> backend = open_backend(flags.device);
  const TaskReport report = report_task(*backend, config, flags.config.data);
  say_what_auto_chose(flags.device, *backend);
  print_result(flags.as_json ? json_of(report) : text_of(report));
  return 0;
}

}  // namespace

Command add_task_command(CLI::App& verb) {
  auto flags = std::make_shared<TaskFlags>();
  add_config_flags(verb, "a training configuration: a TOML file", flags->config);
  verb.add_flag("--json", flags->as_json, "one JSON object");
  add_device_flags(verb, flags->device);
  verb.footer(
      "Parameters by layer, the loss at the start, a check of the gradient by differences, and\n"
      "the cost of an episode on this device.\n"
      "Examples:\n"
      "  l2o task examples/demo.toml\n"
      "  l2o task examples/cifar10.toml --data DIR --set train.tasks=4");
  return [flags] { return run_task(*flags); };
}

}  // namespace l2o::cli
