// The flags of verbs that take a training configuration.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "host/core/config.h"

namespace l2o::cli {

struct ConfigFlags {
  std::string config;
  std::vector<std::string> assignments;
  std::string data;
};

/// Adds the positional CONFIG.toml, with its description, --data and --set.
void add_config_flags(CLI::App& verb, const std::string& description, ConfigFlags& flags);

/// The path itself; for "-", which is standard input, one that can be opened.
std::string config_path(const std::string& path);
/// The configuration at that path. Throws like ConfigReader.
ConfigReader read_config_file(const std::string& path);

/// The file with the assignments of --set applied. Throws like ConfigReader.
ConfigReader read_config(const ConfigFlags& flags);

}  // namespace l2o::cli
