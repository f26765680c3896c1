// l2o eval: compares a model with the hand-designed rules.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/checked_option.h"
#include "host/cli/command.h"
#include "host/cli/config_flags.h"
#include "host/cli/device_flags.h"
#include "host/cli/eval_suite.h"
#include "host/cli/output.h"
#include "host/cli/ranks.h"
#include "host/core/config.h"
#include "host/core/error.h"
#include "host/core/nearest_name.h"
#include "host/engine/baseline.h"
#include "host/engine/evaluator.h"
#include "host/engine/limits.h"
#include "host/engine/plot.h"
#include "host/engine/report.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/model_file.h"

namespace l2o::cli {
namespace {

struct EvalFlags {
  std::vector<std::string> models;
  std::string task;
  std::string suite;
  std::vector<std::string> assignments;
  int steps = 100;
  int runs = 100;
  double update_scale = 1.0;
  double gradient_scale = 1.0;
  double weight_decay = 0.0;
  std::string schedule = kUpdateScheduleNames[0];
  std::string baselines = "sgd,nag,rmsprop,adam";
  std::string baseline_schedules = kUpdateScheduleNames[0];
  int tuning_runs = EvaluationOptions().tuning_runs;
  std::uint64_t seed = 1;
  std::string data;
  std::string json;
  std::string csv;
  std::string plot;
  std::string cache;
  std::string report;
  int timeout = kDefaultTimeout;  // seconds
  DeviceFlags device;
  /// Options that a suite sets in its file, and options that only a suite has.
  std::vector<const CLI::Option*> task_only, suite_only;
  const CLI::Option* schedule_option = nullptr;
};

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const OptimizeeEntry& entry : optimizee_registry()) names.push_back(entry.name);
  return names;
}

bool is_registered(const std::string& task) {
  const std::vector<std::string> names = task_names();
  return std::find(names.begin(), names.end(), task) != names.end();
}

/// A registered name, with the defaults of its keys, or a file with a [task] table or several
/// [[task]]. Other tables of a file are ignored, so that a training configuration can be used
/// unchanged.
std::vector<MemberConfig> read_task(const EvalFlags& flags) {
  const std::vector<std::string> names = task_names();
  const bool registered = is_registered(flags.task);
  if (!registered && flags.task != "-" && flags.task.find_first_of("./") == std::string::npos) {
    throw Error(Status::kUsage,
                fmt::format("--task {}: unknown task; the nearest is {}. Expected one of {}, or a "
                            "TOML file with a [task] table",
                            flags.task, nearest_name(flags.task, names), fmt::join(names, ", ")));
  }
  ConfigReader config =
      registered ? ConfigReader::from_text(fmt::format("[task]\nname = \"{}\"\n", flags.task),
                                           "--task " + flags.task)
                 : read_config_file(flags.task);
  for (const std::string& assignment : flags.assignments) {
    if (!assignment.starts_with("task.") && !assignment.starts_with("task[")) {
      throw Error(Status::kUsage, fmt::format("--set \"{}\": an evaluation only has keys of the "
                                              "task; expected task.KEY=VALUE",
                                              assignment));
    }
    config.set(assignment);
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

/// One image per member; if there are several, the label precedes the file's extension.
std::string plot_path(const EvalFlags& flags, const std::vector<MemberConfig>& members,
                      std::size_t member) {
  std::filesystem::path own(flags.plot);
  if (members.size() > 1) {
    own.replace_filename(own.stem().string() + "-" + members[member].label +
                         own.extension().string());
  }
  return own.string();
}

/// The path for the data of a plot if gnuplot is not installed.
std::string plot_numbers_path(const std::string& plot) { return plot + ".csv"; }

/// stdout carries one result: the one requested there, else the table.
bool prints_table(const EvalFlags& flags) {
  return !is_stdout(flags.json) && !is_stdout(flags.csv);
}

std::vector<NamedPath> outputs_of(const EvalFlags& flags,
                                  const std::vector<MemberConfig>& members) {
  std::vector<NamedPath> outputs;
  if (!flags.json.empty()) outputs.push_back({"--json", flags.json});
  if (!flags.csv.empty()) outputs.push_back({"--csv", flags.csv});
  if (prints_table(flags)) outputs.push_back({"standard output", "-"});
  if (!flags.plot.empty()) {
    require_image_name(flags.plot);
    for (std::size_t i = 0; i < members.size(); ++i) {
      outputs.push_back({"--plot", plot_path(flags, members, i)});
    }
    outputs.push_back({"the numbers of --plot", plot_numbers_path(flags.plot)});
  }
  return outputs;
}

/// Rejects outputs that would overwrite an input or each other, or that cannot be written, before
/// time is spent on their content.
void check_outputs(const EvalFlags& flags, const std::vector<NamedPath>& outputs) {
  std::vector<NamedPath> inputs = {{"the model", flags.models.front()}};
  if (!is_registered(flags.task)) inputs.push_back({"--task", config_path(flags.task)});
  require_separate(inputs, outputs);
  for (const NamedPath& output : outputs) require_writable(output.path);
}

void write_reports(const EvalFlags& flags, const std::vector<MemberConfig>& members,
                   const std::vector<EvaluationReport>& reports) {
  Results results;
  if (!flags.json.empty()) results.write(flags.json, report_json(reports));
  if (!flags.csv.empty()) results.write(flags.csv, report_csv(reports));
  bool drawn = true;
  for (std::size_t i = 0; i < reports.size() && !flags.plot.empty() && drawn; ++i) {
    results.attempt([&] { drawn = plot_report(reports[i], plot_path(flags, members, i)); });
  }
  if (!drawn) {
    const std::string csv = plot_numbers_path(flags.plot);
    results.write(csv, report_csv(reports));
    say(fmt::format("l2o: cannot draw {}: gnuplot is not installed; its numbers are in {}",
                    flags.plot, csv));
  }
  if (prints_table(flags)) results.write("-", report_table(reports));
  results.finish();
}

StepScales scales_of(const EvalFlags& flags) {
  return {.gradient = static_cast<float>(flags.gradient_scale),
          .update = static_cast<float>(flags.update_scale),
          .weight_decay = static_cast<float>(flags.weight_decay)};
}

/// Rejects flags of one kind of evaluation that make no sense in the other.
void require_one_kind(const EvalFlags& flags) {
  if (flags.task.empty() == flags.suite.empty()) {
    throw Error(Status::kUsage, "expected either --task or --suite (see l2o eval --help)");
  }
  if (flags.suite.empty()) {
    for (const CLI::Option* option : flags.suite_only) {
      if (option->count() == 0) continue;
      throw Error(Status::kUsage, option->get_name() + " requires --suite");
    }
    if (flags.models.size() > 1) {
      throw Error(Status::kUsage, "comparing several models requires --suite");
    }
    return;
  }
  for (const CLI::Option* option : flags.task_only) {
    if (option->count() == 0) continue;
    throw Error(Status::kUsage,
                fmt::format("{0} requires --task; for a suite its file sets that, and --set "
                            "overrides it, as in --set 'steps=[100]'",
                            option->get_name()));
  }
}

int run_suite_of(const EvalFlags& flags, const Rank& rank) {
  return run_suite_evaluation({.models = flags.models,
                               .suite = flags.suite,
                               .assignments = flags.assignments,
                               .scales = scales_of(flags),
                               .schedule = flags.schedule_option->count() > 0 ? flags.schedule : "",
                               .data = flags.data,
                               .cache = flags.cache,
                               .report = flags.report,
                               .json = flags.json,
                               .device = flags.device},
                              rank);
}

int run_eval(const EvalFlags& flags, const Rank& rank) {
  require_one_kind(flags);
  if (!flags.suite.empty()) return run_suite_of(flags, rank);
  const std::vector<MemberConfig> members = read_task(flags);
  const std::vector<NamedPath> outputs = outputs_of(flags, members);
  if (rank.is_root()) check_outputs(flags, outputs);
  const Model model = load_model(flags.models.front());
  const std::unique_ptr<Backend> backend = open_backend(flags.device, rank);

  EvaluationOptions options;
  options.steps = flags.steps;
  options.runs = flags.runs;
  options.seed = flags.seed;
  options.scaling = {.scales = scales_of(flags),
                     .schedule = parse_schedule(flags.schedule, "--schedule")};
  options.baselines = split_names(flags.baselines);
  options.baseline_schedules =
      parse_schedules(split_names(flags.baseline_schedules), "--baseline-schedules");
  options.tuning_runs = flags.tuning_runs;
  options.data_directory = flags.data;
  options.ranks = &rank.communicator;
  options.before_runs = [&](const std::vector<std::string>& data_files) {
    prepare_runs(rank, data_files, outputs);
  };
  // With the first result, so that a run that fails to start reports only the reason.
  bool first = true;
  const std::vector<EvaluationReport> reports =
      evaluate(*backend, model, members, options, [&](const std::string& line) {
        if (!rank.is_root()) return;
        if (std::exchange(first, false)) say_what_auto_chose(flags.device, *backend);
        say(line);
      });
  if (rank.is_root()) write_reports(flags, members, reports);
  return 0;
}

/// The options of an evaluation with --task, which a suite sets in its file.
void add_task_flags(CLI::App& verb, EvalFlags& flags) {
  std::vector<const CLI::Option*>& of_task = flags.task_only;
  of_task.push_back(
      add_integer_option(verb, "--steps", flags.steps, "steps of every run", "T", 1, kMaxSteps));
  of_task.push_back(
      add_integer_option(verb, "--runs", flags.runs, "number of new tasks", "N", 1, kMaxTasks));
  of_task.push_back(verb.add_option("--baselines", flags.baselines,
                                    "hand-designed rules to compare with; adam@1e-3 has a fixed "
                                    "learning rate")
                        ->type_name("A,B,...")
                        ->capture_default_str());
  of_task.push_back(verb.add_option("--baseline-schedules", flags.baseline_schedules,
                                    "schedules of their rates; each rule is tuned under each, and "
                                    "the better one counts")
                        ->type_name("A,B,...")
                        ->capture_default_str());
  of_task.push_back(add_integer_option(verb, "--tuning-runs", flags.tuning_runs,
                                       "tasks that each of their learning rates is tried on; the "
                                       "best four are judged again on eight "
                                       "times as many",
                                       "N", 1, kMaxTasks));
  of_task.push_back(
      add_integer_option(verb, "--seed", flags.seed, "seed of the tasks", "N", std::uint64_t{0}));
  of_task.push_back(
      add_path_option(verb, "--csv", flags.csv, "write the curves as CSV; - is stdout", "FILE|-"));
  of_task.push_back(
      add_path_option(verb, "--plot", flags.plot, "draw the curves with gnuplot", "FILE.svg|.png"));
}

/// The scales of the learned rule's steps.
void add_scaling_flags(CLI::App& verb, EvalFlags& flags) {
  verb.add_option("--update-scale", flags.update_scale, "factor on the learned rule's updates")
      ->check(number_from(1e-12, 1e12))
      ->type_name("X")
      ->capture_default_str();
  verb.add_option("--gradient-scale", flags.gradient_scale, "factor on the gradients that it reads")
      ->check(number_from(1e-12, 1e12))
      ->type_name("X")
      ->capture_default_str();
  verb.add_option(
          "--weight-decay", flags.weight_decay,
          "weight decay of the learned rule, decoupled: a step subtracts update scale times "
          "X times theta from theta")
      ->check(number_from(0.0, 1e6))
      ->type_name("X")
      ->capture_default_str();
  flags.schedule_option =
      verb.add_option("--schedule", flags.schedule,
                      "schedule of its update scale over a run: constant, cosine or linear")
          ->check(CLI::IsMember(std::vector<std::string>(std::begin(kUpdateScheduleNames),
                                                         std::end(kUpdateScheduleNames))))
          ->type_name("SCHEDULE")
          ->capture_default_str();
}

}  // namespace

Command add_eval_command(CLI::App& verb) {
  auto flags = std::make_shared<EvalFlags>();
  add_path_option(verb, "model", flags->models, "a model file; with --suite, several", "MODEL")
      ->required();
  add_path_option(verb, "--task", flags->task,
                  fmt::format("the task: {}, or a TOML file with a [task] table; - is standard "
                              "input",
                              fmt::join(task_names(), ", ")),
                  "NAME|CONFIG.toml|-");
  add_path_option(verb, "--suite", flags->suite,
                  "many tasks, each at several lengths (docs/tasks.md)", "SUITE.toml");
  verb.add_option("--set", flags->assignments,
                  "override a key of the task (task.layers=[40]), or any of the suite; may be "
                  "repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  add_scaling_flags(verb, *flags);
  add_task_flags(verb, *flags);
  flags->suite_only.push_back(add_path_option(
      verb, "--cache", flags->cache,
      "keep the results of the suite's hand-designed rules, and reuse kept ones", "DIR"));
  flags->suite_only.push_back(
      add_path_option(verb, "--report", flags->report,
                      "write the suite's report.html, report.json and report.csv", "DIR"));
  add_path_option(verb, "--data", flags->data, "directory of the data sets", "DIR")
      ->envname("L2O_DATA_DIR");
  add_path_option(verb, "--json", flags->json, "write the report as JSON; - is stdout", "FILE|-");
  add_device_flags(verb, flags->device);
  add_timeout_flag(verb, flags->timeout);
  verb.footer(
      "Examples:\n"
      "  l2o eval models/quadratic.safetensors --task quadratic --plot report.svg\n"
      "  l2o eval models/mnist.safetensors --task mnist --data DIR --steps 200\n"
      "  l2o eval models/mnist.safetensors --task mnist --data DIR --set task.layers=[40] --json "
      "-\n"
      "  l2o eval a.safetensors b.safetensors --suite examples/suites/general.toml --data DIR \\\n"
      "      --cache out/cache --report out/report\n"
      "Every hand-designed rule gets the learning rate that does best on separate tasks.");
  return [flags] {
    return run_on_ranks(std::chrono::seconds(flags->timeout),
                        [&](const Rank& rank) { return run_eval(*flags, rank); });
  };
}

}  // namespace l2o::cli
