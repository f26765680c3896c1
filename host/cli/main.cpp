// The command line: l2o COMMAND ...; one file per command. Results go to stdout, everything else to
// stderr.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/command.h"
#include "host/cli/failure.h"
#include "host/cli/output.h"
#include "host/cli/standard_streams.h"
#include "host/core/error.h"
#include "host/core/nearest_name.h"

namespace {

using l2o::Status;

using Verbs = std::vector<std::pair<CLI::App*, l2o::cli::Command>>;

[[noreturn]] void reject_verb(const std::string& verb, const Verbs& verbs) {
  std::vector<std::string> names;
  for (const auto& [known, command] : verbs) names.push_back(known->get_name());
  throw l2o::Error(
      Status::kUsage,
      fmt::format("unknown command {}; the nearest is {} (l2o --help lists the commands)", verb,
                  l2o::nearest_name(verb, names)));
}

/// Reports a misspelled flag before the arguments that are missing because of it.
void reject_unknown_flags(const CLI::App& verb, int argc, char** argv) {
  std::vector<std::string> known;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i], flag = word.substr(0, word.find('='));
    if (word == "--") return;  // the remaining arguments are not flags
    if (!flag.starts_with("--")) continue;
    if (std::find(known.begin(), known.end(), flag) != known.end()) continue;
    throw l2o::Error(Status::kUsage,
                     fmt::format("unknown flag {}; the nearest is {} (l2o {} --help lists them)",
                                 flag, l2o::nearest_name(flag, known), verb.get_name()));
  }
}

int run(int argc, char** argv) {
  CLI::App app("l2o learns optimizers: it meta-trains update rules and evaluates them.", "l2o");
  app.set_version_flag("--version", std::string("l2o ") + L2O_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  l2o task examples/demo.toml\n"
      "  l2o train examples/demo.toml --out out/demo\n"
      "  l2o eval out/demo/best.safetensors --task examples/demo.toml --plot report.svg\n"
      "`l2o COMMAND --help` describes a command.\n"
      "Exit codes: 0 ok, 1 failure, 2 usage, 65 bad data or model file, 69 device unavailable,\n"
      "70 internal error, 71 out of memory, 74 input/output error, 75 a rank was lost, 76 "
      "diverged,\n"
      "130 and 143 signals.");

  Verbs verbs;
  const auto add = [&](const char* name, const char* summary,
                       l2o::cli::Command (*add_command)(CLI::App&)) {
    CLI::App* verb = app.add_subcommand(name, summary);
    verbs.emplace_back(verb, add_command(*verb));
  };
  add("train", "Meta-train an optimizer", l2o::cli::add_train_command);
  add("eval", "Compare a model with the hand-designed rules", l2o::cli::add_eval_command);
  add("task", "Describe a configuration and its cost", l2o::cli::add_task_command);
  add("report", "Report the progress of a training run, and what to try",
      l2o::cli::add_report_command);
  add("info", "Describe a model file", l2o::cli::add_info_command);
  add("import", "Convert a rule trained by learning-to-learn into a model file",
      l2o::cli::add_import_command);
  add("rescale", "Make the steps of a model longer or shorter", l2o::cli::add_rescale_command);
  add("devices", "List the devices that this build can use", l2o::cli::add_devices_command);

  if (argc > 1 && argv[1][0] != '-' &&
      std::none_of(verbs.begin(), verbs.end(),
                   [&](const auto& verb) { return verb.first->get_name() == argv[1]; })) {
    reject_verb(argv[1], verbs);
  }
  std::string help = "l2o --help";
  for (const auto& [verb, command] : verbs) {
    if (argc < 2 || verb->get_name() != argv[1]) continue;
    reject_unknown_flags(*verb, argc, argv);
    help = "l2o " + verb->get_name() + " --help";
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      std::ostringstream text;  // output of --help, --version
      app.exit(error, text, text);
      l2o::cli::print_result(text.str());
      return 0;
    }
    throw l2o::Error(Status::kUsage, fmt::format("{} (see {})", error.what(), help));
  }
  for (const auto& [verb, command] : verbs) {
    if (verb->parsed()) return command();
  }
  throw l2o::Error(Status::kInternal, "no command was run");
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away shows as a failed write, which output.cpp handles.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // likewise a file beyond the limit of its size
  try {
    l2o::cli::open_standard_streams();
    return run(argc, argv);
  } catch (...) {
    const l2o::cli::Failure failure = l2o::cli::current_failure();
    l2o::cli::report(failure);
    return static_cast<int>(failure.status);
  }
}
