// Configurations of meta-training: strictly parsed TOML, without the [task] of an optimizee.
#include <stdexcept>
#include <string_view>

#include "host/core/config.h"
#include "host/engine/training_config.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

/// Reads everything; returns the resolved configuration.
std::string resolve(std::string_view text) {
  ConfigReader config = ConfigReader::from_text(text, "input");
  read_training_config(config);
  config.finish();
  return config.resolved();
}

}  // namespace

void read_input(std::span<const std::byte> bytes) {
  const std::string resolved = resolve({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  // A run is resumed from its resolved configuration, which must have the same meaning.
  const std::string again =
      must_succeed("reading a resolved configuration", [&] { return resolve(resolved); });
  if (again != resolved) throw std::logic_error("resolving is not idempotent");
}

}  // namespace l2o
