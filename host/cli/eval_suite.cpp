#include "host/cli/eval_suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "host/cli/output.h"
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

/// The files' names without their endings; where two are the same, the paths.
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

/// Where a report goes, made before time is spent on it.
void make_report_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    throw Error(Status::kInputOutput,
                fmt::format("cannot make the directory {}: {}", path, error.message()));
  }
  require_writable((std::filesystem::path(path) / "report.json").string());
}

void write_report(const SuiteReport& report, const std::string& directory) {
  const std::filesystem::path path(directory);
  write_result((path / "report.json").string(), suite_json(report));
  write_result((path / "report.csv").string(), suite_csv(report));
  write_result((path / "report.html").string(), suite_html(report));
  say(fmt::format("l2o: the report is {}", (path / "report.html").string()));
}

}  // namespace

int run_suite_evaluation(const SuiteFlags& flags) {
  if (!flags.json.empty()) require_writable(flags.json);
  ConfigReader config = ConfigReader::from_file(flags.suite);
  for (const std::string& assignment : flags.assignments) config.set(assignment);
  if (!flags.schedule.empty()) config.set("schedule=" + flags.schedule);
  const SuiteConfig suite = read_suite(config);

  SuiteOptions options;
  options.name = std::filesystem::path(flags.suite).stem().string();
  const std::vector<std::string> names = model_names(flags.models);
  for (std::size_t i = 0; i < flags.models.size(); ++i) {
    options.models.push_back({names[i], load_model(flags.models[i])});
  }
  if (!flags.report.empty()) make_report_directory(flags.report);
  const std::unique_ptr<Backend> backend = open_backend(flags.device);
  catch_stop_signals();

  options.scales = flags.scales;
  options.data_directory = flags.data;
  options.cache_directory = flags.cache;
  options.before_step = throw_if_stopped;
  options.notice = [](const std::string& line) { say("l2o: " + line); };
  ProgressPrinter printer;
  bool first = true;
  options.progress = [&](const SuiteProgress& progress) {
    if (std::exchange(first, false)) {
      // With the first result, so that what fails to start says nothing but why.
      say_what_auto_chose(flags.device, *backend);
    }
    printer.show(fmt::format("{:3.0f} %  {} left  {}", 100.0 * progress.fraction,
                             duration_text(progress.seconds_left), progress.line),
                 progress.fraction, progress.finished);
  };
  const SuiteReport report = run_suite(*backend, suite, options);

  // stdout carries one result: the JSON where it was asked for there, else the table. Files come
  // first, so that they are there even where stdout is full.
  const bool is_json = flags.json == "-";
  if (!flags.json.empty() && !is_json) write_result(flags.json, suite_json(report));
  if (!flags.report.empty()) write_report(report, flags.report);
  print_result(is_json ? suite_json(report) : suite_table(report));
  return 0;
}

}  // namespace l2o::cli
