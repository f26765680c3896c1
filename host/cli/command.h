// The commands of the program. Each one declares its flags and returns the function to run if it
// was chosen, which returns the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace l2o::cli {

using Command = std::function<int()>;

Command add_train_command(CLI::App& verb);
Command add_eval_command(CLI::App& verb);
Command add_task_command(CLI::App& verb);
Command add_report_command(CLI::App& verb);
Command add_info_command(CLI::App& verb);
Command add_import_command(CLI::App& verb);
Command add_rescale_command(CLI::App& verb);
Command add_devices_command(CLI::App& verb);

}  // namespace l2o::cli
