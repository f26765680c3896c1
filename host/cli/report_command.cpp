// l2o report: summarizes the records of a training run.
#include <memory>
#include <string>

#include "host/cli/checked_option.h"
#include "host/cli/command.h"
#include "host/cli/output.h"
#include "host/engine/run_report.h"

namespace l2o::cli {

Command add_report_command(CLI::App& verb) {
  struct ReportFlags {
    std::string run_directory;
    bool as_json = false;
  };
  auto flags = std::make_shared<ReportFlags>();
  add_path_option(verb, "run", flags->run_directory,
                  "the run directory of a finished run, or of one in progress", "DIR")
      ->required();
  verb.add_flag("--json", flags->as_json, "one JSON object");
  verb.footer(
      "Example:\n"
      "  l2o report out/demo\n"
      "For a run that does not learn: losses, gradient norms, skipped updates, failing members,\n"
      "how far steps move each tensor, and what to try.");
  return [flags] {
    const RunReport report = read_run_report(flags->run_directory);
    print_result(flags->as_json ? run_report_json(report) : run_report_text(report));
    return 0;
  };
}

}  // namespace l2o::cli
