// The program under test, and helpers for its tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "host/optimizer/model_file.h"
#include "tests/support/run_process.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_directory.h"

namespace l2o {

/// A training run that takes milliseconds.
inline const std::string kSmallConfig =
    "seed = 5\n"
    "[task]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n"
    "[optimizer]\nlayers = 1\nhidden = 4\n"
    "[train]\nepisodes = 6\nsteps = 6\nunroll_length = 3\n"
    "[evaluation]\nevery = 3\nruns = 2\n";

/// Runs l2o with these arguments to its end.
inline ProcessResult l2o_with(std::vector<std::string> arguments,
                              const ProcessOptions& options = {}) {
  arguments.insert(arguments.begin(), L2O_PROGRAM);
  return run_process(arguments, options);
}

/// A failure is one line on stderr that starts with "l2o: " and contains `part`, nothing on
/// stdout, and the exit code of its kind. `file` and `line` are those of the call.
inline void expect_failure(const ProcessResult& result, int exit_code, const std::string& part,
                           const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const testing::ScopedTrace trace(file, line, "the call");
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("l2o: ")) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << part << " is not in: " << result.err;
}

/// The names of all commands, from the program's help.
inline std::vector<std::string> command_names() {
  std::istringstream help(l2o_with({"--help"}).out);
  std::vector<std::string> names;
  std::string line, name;
  while (std::getline(help, line) && line != "Subcommands:") continue;
  while (std::getline(help, line) && std::istringstream(line) >> name) names.push_back(name);
  EXPECT_FALSE(names.empty()) << "no list of commands in the help";
  return names;
}

/// Returns a [[task]] on which every rule diverges at once, because its loss overflows. Its data is
/// a file in the directory.
inline std::string write_diverging_member(const TemporaryDirectory& directory) {
  test::SafetensorsBuilder file;
  file.add("inputs", {3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6});
  file.add("targets", {3}, std::vector<float>{1e30F, 2e30F, 3e30F});
  return "[[task]]\nname = \"network\"\nlayers = [2]\nloss = \"mse\"\nlabel = \"diverging\"\ndata "
         "= \"" +
         directory.write("huge.safetensors", file.bytes()) + "\"\n";
}

/// Writes an untrained model to a file in the directory; returns the file's path.
inline std::string write_model(const TemporaryDirectory& directory) {
  LstmConfig lstm;
  lstm.layers = 1;
  lstm.hidden = 4;
  std::string path = directory.file("model.safetensors");
  Optimizer model = make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 1);
  model.trained_on = "seed = 1\n";
  save_model(path, model);
  return path;
}

}  // namespace l2o
