#include "host/cli/config_flags.h"

#include "host/cli/checked_option.h"

namespace l2o::cli {

void add_config_flags(CLI::App& verb, const std::string& description, ConfigFlags& flags) {
  add_path_option(verb, "config", flags.config, description + "; - is standard input",
                  "CONFIG.toml|-")
      ->required();
  add_path_option(verb, "--data", flags.data, "directory of the data sets", "DIR")
      ->envname("L2O_DATA_DIR");
  verb.add_option("--set", flags.assignments, "override a key of the config; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
}

std::string config_path(const std::string& path) { return path == "-" ? "/dev/stdin" : path; }

ConfigReader read_config_file(const std::string& path) {
  return ConfigReader::from_file(config_path(path));
}

ConfigReader read_config(const ConfigFlags& flags) {
  ConfigReader config = read_config_file(flags.config);
  for (const std::string& assignment : flags.assignments) config.set(assignment);
  return config;
}

}  // namespace l2o::cli
