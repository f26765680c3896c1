// l2o eval: a model against the hand-designed rules.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/command.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/core/config.h"
#include "host/core/error.h"
#include "host/core/nearest_name.h"
#include "host/engine/evaluator.h"
#include "host/engine/plot.h"
#include "host/engine/report.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/model_file.h"

namespace l2o::cli {
namespace {

struct EvalFlags {
  std::string model;
  std::string task;
  std::vector<std::string> assignments;
  int steps = 100;
  int runs = 100;
  std::string baselines = "sgd,nag,rmsprop,adam";
  int tuning_runs = EvaluationOptions().tuning_runs;
  std::int64_t seed = 1;
  std::string data;
  std::string json;
  std::string csv;
  std::string plot;
  DeviceFlags device;
};

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const OptimizeeEntry& entry : optimizee_registry()) names.push_back(entry.name);
  return names;
}

/// A registered name, with the defaults of its keys, or a file with a [task] table or several
/// [[task]]. Other tables of a file are not looked at, so that a training configuration serves as
/// it is.
std::vector<MemberConfig> read_task(const EvalFlags& flags) {
  const std::vector<std::string> names = task_names();
  const bool registered = std::find(names.begin(), names.end(), flags.task) != names.end();
  if (!registered && flags.task.find_first_of("./") == std::string::npos) {
    throw Error(Status::kUsage,
                fmt::format("--task {}: no such task; the nearest is {}. Expected one of {}, or a "
                            "TOML file with a [task] table",
                            flags.task, nearest_name(flags.task, names), fmt::join(names, ", ")));
  }
  ConfigReader config =
      registered ? ConfigReader::from_text(fmt::format("[task]\nname = \"{}\"\n", flags.task),
                                           "--task " + flags.task)
                 : ConfigReader::from_file(flags.task);
  for (const std::string& assignment : flags.assignments) {
    if (!assignment.starts_with("task.") && !assignment.starts_with("task[")) {
      throw Error(Status::kUsage, fmt::format("--set \"{}\": an evaluation has keys of the task "
                                              "only; expected task.KEY=VALUE",
                                              assignment));
    }
    config.set(assignment);
  }
  if (!config.has("task")) {
    throw Error(Status::kUsage,
                flags.task + ": no [task] table; expected one that says what to run on");
  }
  return read_members(config, 1);
}

std::vector<std::string> split_names(const std::string& list) {
  std::vector<std::string> names;
  for (std::size_t start = 0; start < list.size();) {
    const std::size_t comma = std::min(list.find(',', start), list.size());
    names.push_back(list.substr(start, comma - start));
    start = comma + 1;
  }
  return names;
}

/// A picture a member; of several, its label comes before the file's extension.
void write_plots(const std::vector<EvaluationReport>& members, const std::string& path) {
  bool drawn = true;
  for (const EvaluationReport& report : members) {
    std::filesystem::path own(path);
    if (members.size() > 1) {
      own.replace_filename(own.stem().string() + "-" + report.task + own.extension().string());
    }
    drawn = drawn && plot_report(report, own.string());
  }
  if (drawn) return;
  const std::string csv = std::filesystem::path(path).replace_extension(".csv").string();
  write_result(csv, report_csv(members));
  say(fmt::format("l2o: no picture {}: gnuplot is not installed; its numbers are in {}", path,
                  csv));
}

int run_eval(const EvalFlags& flags) {
  if (flags.json == "-" && flags.csv == "-") {
    throw Error(Status::kUsage, "--json - and --csv -: only one of them can go to stdout");
  }
  if (!flags.plot.empty()) require_picture_name(flags.plot);
  for (const std::string* path : {&flags.json, &flags.csv, &flags.plot}) {
    if (!path->empty()) require_writable(*path);
  }
  const Model model = load_model(flags.model);
  const std::vector<MemberConfig> members = read_task(flags);
  const std::unique_ptr<Backend> backend = open_backend(flags.device);

  EvaluationOptions options;
  options.steps = flags.steps;
  options.runs = flags.runs;
  options.seed = static_cast<std::uint64_t>(flags.seed);
  options.baselines = split_names(flags.baselines);
  options.tuning_runs = flags.tuning_runs;
  options.data_directory = flags.data;
  // With the first result, so that what fails to start says nothing but why.
  bool first = true;
  std::vector<EvaluationReport> reports;
  for (const MemberConfig& member : members) {
    reports.push_back(evaluate(*backend, model, member, options, [&](const std::string& line) {
      if (std::exchange(first, false)) say_what_auto_chose(flags.device, *backend);
      say(members.size() == 1 ? line : fmt::format("{}: {}", member.label, line));
    }));
  }

  // stdout carries one result: the JSON where it was asked for there, else the table.
  if (flags.json != "-" && flags.csv != "-") print_result(report_table(reports));
  if (!flags.json.empty()) write_result(flags.json, report_json(reports));
  if (!flags.csv.empty()) write_result(flags.csv, report_csv(reports));
  if (!flags.plot.empty()) write_plots(reports, flags.plot);
  return 0;
}

}  // namespace

Command add_eval_command(CLI::App& verb) {
  auto flags = std::make_shared<EvalFlags>();
  verb.add_option("model", flags->model, "a model file")->required()->type_name("MODEL");
  verb.add_option("--task", flags->task,
                  fmt::format("what to run on: {}, or a TOML file with a [task] table",
                              fmt::join(task_names(), ", ")))
      ->required()
      ->type_name("NAME|CONFIG.toml");
  verb.add_option("--set", flags->assignments,
                  "override a key of the task (task.layers=[40]); may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  verb.add_option("--steps", flags->steps, "steps of every run")
      ->check(CLI::Range(1, 10'000'000))
      ->type_name("T")
      ->capture_default_str();
  verb.add_option("--runs", flags->runs, "fresh tasks")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--baselines", flags->baselines, "hand-designed rules to compare with")
      ->type_name("A,B,...")
      ->capture_default_str();
  verb.add_option("--tuning-runs", flags->tuning_runs,
                  "tasks that each of their learning rates is tried on; the best four are judged "
                  "again on eight times as many")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--seed", flags->seed, "which fresh tasks")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--data", flags->data, "directory of the data sets")
      ->envname("L2O_DATA_DIR")
      ->type_name("DIR");
  verb.add_option("--json", flags->json, "write the report as JSON; - is stdout")
      ->type_name("FILE|-");
  verb.add_option("--csv", flags->csv, "write the curves as CSV; - is stdout")->type_name("FILE|-");
  verb.add_option("--plot", flags->plot, "draw the curves with gnuplot")
      ->type_name("FILE.svg|.png");
  add_device_flags(verb, flags->device);
  verb.footer(
      "Examples:\n"
      "  l2o eval models/quadratic.safetensors --task quadratic --plot report.svg\n"
      "  l2o eval models/mnist.safetensors --task mnist --data DIR --steps 200\n"
      "  l2o eval models/mnist.safetensors --task mnist --data DIR --set task.layers=[40] --json "
      "-\n"
      "Every hand-designed rule gets the learning rate that does best on tasks of its own.");
  return [flags] { return run_eval(*flags); };
}

}  // namespace l2o::cli
