#include "host/cli/eval_suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "host/cli/config_flags.h"
#include "host/cli/progress.h"
#include "host/cli/stop_signal.h"
#include "host/core/config.h"
#include "host/core/error.h"
#include "host/engine/suite.h"
#include "host/engine/suite_config.h"
#include "host/engine/suite_html.h"
#include "host/engine/suite_report.h"
#include "host/optimizer/model_file.h"

namespace l2o::cli {
namespace {

/// The files' names without their extensions; if two are the same, the paths.
std::vector<std::string> model_names(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  names.reserve(paths.size());
  for (const std::string& path : paths) {
    names.push_back(std::filesystem::path(path).stem().string());
  }
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  return std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end() ? names : paths;
}

struct ReportPaths {
  explicit ReportPaths(const std::string& directory)
      : json((std::filesystem::path(directory) / "report.json").string()),
        csv((std::filesystem::path(directory) / "report.csv").string()),
        html((std::filesystem::path(directory) / "report.html").string()) {}

  std::string json, csv, html;
};

std::vector<NamedPath> outputs_of_suite(const SuiteFlags& flags) {
  std::vector<NamedPath> outputs = {{"standard output", "-"}};
  if (!flags.json.empty() && !is_stdout(flags.json)) outputs.push_back({"--json", flags.json});
  if (!flags.report.empty()) {
    const ReportPaths paths(flags.report);
    for (const std::string& path : {paths.json, paths.csv, paths.html}) {
      outputs.push_back({"--report", path});
    }
  }
  return outputs;
}

/// Rejects outputs that would overwrite an input or each other, or that cannot be written, before
/// time is spent on their content. Creates the directory of the report.
void prepare_outputs(const SuiteFlags& flags, const std::vector<NamedPath>& outputs) {
  std::vector<NamedPath> inputs = {{"--suite", config_path(flags.suite)}};
  for (const std::string& model : flags.models) inputs.push_back({"the model", model});
  require_separate(inputs, outputs);
  if (!flags.report.empty()) {
    std::error_code error;
    std::filesystem::create_directories(flags.report, error);
    if (error) {
      throw Error(Status::kInputOutput,
                  fmt::format("cannot create the directory {}: {}", flags.report, error.message()));
    }
  }
  for (const NamedPath& output : outputs) require_writable(output.path);
}

void write_results(const SuiteFlags& flags, const SuiteReport& report) {
  Results results;
  if (!flags.json.empty() && !is_stdout(flags.json)) results.write(flags.json, suite_json(report));
  if (!flags.report.empty()) {
    const ReportPaths paths(flags.report);
    results.write(paths.json, suite_json(report));
    results.write(paths.csv, suite_csv(report));
    results.write(paths.html, suite_html(report));
  }
  // stdout carries one result: the JSON if it was requested there, else the table.
  results.write("-", is_stdout(flags.json) ? suite_json(report) : suite_table(report));
  results.finish();
  if (!flags.report.empty()) {
    say(fmt::format("l2o: the report is at {}", ReportPaths(flags.report).html));
  }
}

}  // namespace

void prepare_runs(const Rank& rank, const std::vector<std::string>& data_files,
                  const std::vector<NamedPath>& outputs) {
  std::vector<NamedPath> data;
  data.reserve(data_files.size());
  for (const std::string& file : data_files) data.push_back({"the data", file});
  if (rank.is_root()) require_separate(data, outputs);
  catch_stop_signals();
}

int run_suite_evaluation(const SuiteFlags& flags, const Rank& rank) {
  ConfigReader config = read_config_file(flags.suite);
  for (const std::string& assignment : flags.assignments) config.set(assignment);
  if (!flags.schedule.empty()) config.set("schedule=" + flags.schedule);
  const SuiteConfig suite = read_suite(config);

  SuiteOptions options;
  options.name = std::filesystem::path(flags.suite).stem().string();
  const std::vector<std::string> names = model_names(flags.models);
  for (std::size_t i = 0; i < flags.models.size(); ++i) {
    options.models.push_back({names[i], load_model(flags.models[i])});
  }
  const std::vector<NamedPath> outputs = outputs_of_suite(flags);
  if (rank.is_root()) prepare_outputs(flags, outputs);
  const std::unique_ptr<Backend> backend = open_backend(flags.device, rank);

  options.scales = flags.scales;
  options.data_directory = flags.data;
  options.cache_directory = flags.cache;
  options.before_runs = [&](const std::vector<std::string>& data_files) {
    prepare_runs(rank, data_files, outputs);
  };
  options.before_step = throw_if_stopped;
  ProgressPrinter printer;
  options.notice = [&](const std::string& line) { printer.say("l2o: " + line); };
  bool first = true;
  options.ranks = &rank.communicator;
  options.progress = [&](const SuiteProgress& progress) {
    if (!rank.is_root()) return;
    if (std::exchange(first, false)) {
      // With the first result, so that a run that fails to start reports only the reason.
      say_what_auto_chose(flags.device, *backend);
    }
    printer.show(fmt::format("{:3.0f} %  {} left  {}", 100.0 * progress.fraction,
                             duration_text(progress.seconds_left), progress.line),
                 progress.fraction, progress.finished);
  };
  const SuiteReport report = run_suite(*backend, suite, options);

  if (rank.is_root()) write_results(flags, report);
  return 0;
}

}  // namespace l2o::cli
