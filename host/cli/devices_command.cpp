// l2o devices: where this build can compute.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/cli/command.h"
#include "host/cli/output.h"
#include "host/core/text.h"

namespace l2o::cli {
namespace {

int run_devices(bool as_json) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::string text;
  for (const DeviceInfo& device : list_devices()) {
    json.push_back({{"name", device.name},
                    {"description", device.description},
                    {"threads", device.threads},
                    {"memory_bytes", device.memory_bytes}});
    text += fmt::format("{:<6} {}, {}{:.1f} GiB\n", device.name, device.description,
                        device.threads > 0 ? fmt::format("{} threads, ", device.threads) : "",
                        static_cast<double>(device.memory_bytes) / (1 << 30));
  }
  const std::string why = why_no_accelerator();
  if (is_built_for_accelerators() && !why.empty()) {
    text += fmt::format("{:<6} none: {}\n", "cuda", why);
  }
  print_result(as_json ? json_line(json) : text);
  return 0;
}

}  // namespace

Command add_devices_command(CLI::App& verb) {
  auto as_json = std::make_shared<bool>(false);
  verb.add_flag("--json", *as_json, "one JSON array");
  verb.footer("Example:\n  l2o devices --json");
  return [as_json] { return run_devices(*as_json); };
}

}  // namespace l2o::cli
