#include "host/cli/config_flags.h"

namespace l2o::cli {

void add_config_flags(CLI::App& verb, const std::string& description, ConfigFlags& flags) {
  verb.add_option("config", flags.config, description)->required()->type_name("CONFIG.toml");
  verb.add_option("--data", flags.data, "directory of the data sets")
      ->envname("L2O_DATA_DIR")
      ->type_name("DIR");
  verb.add_option("--set", flags.assignments, "override a key of the config; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
}

ConfigReader read_config(const ConfigFlags& flags) {
  ConfigReader config = ConfigReader::from_file(flags.config);
  for (const std::string& assignment : flags.assignments) config.set(assignment);
  return config;
}

}  // namespace l2o::cli
