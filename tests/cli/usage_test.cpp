// Help, versions, and wrong command lines.
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/optimizee/optimizee.h"
#include "tests/cli/program.h"

namespace l2o {
namespace {

TEST(Usage, HelpIsAResult) {
  std::vector<std::vector<std::string>> requests = {{"--help"}};
  for (const std::string& name : command_names()) requests.push_back({name, "--help"});
  for (const std::vector<std::string>& arguments : requests) {
    SCOPED_TRACE(arguments.front());
    const ProcessResult result = l2o_with(arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_NE(result.out.find("Example"), std::string::npos) << result.out;
  }
}

TEST(Usage, HelpListsTheTasks) {
  const ProcessResult result = l2o_with({"eval", "--help"});
  EXPECT_EQ(result.exit_code, 0);
  const std::string options = result.out.substr(0, result.out.find("Examples:"));
  ASSERT_LT(options.size(), result.out.size());
  for (const OptimizeeEntry& entry : optimizee_registry()) {
    EXPECT_NE(options.find(entry.name), std::string::npos) << entry.name;
  }
}

TEST(Usage, Version) {
  const ProcessResult result = l2o_with({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out.find("l2o "), 0U);
}

TEST(Usage, InvalidCommandLines) {
  expect_failure(l2o_with({}), 2, "subcommand");
  expect_failure(l2o_with({"trian"}), 2, "trian");
  expect_failure(l2o_with({"devices", "--jsn"}), 2, "--jsn");
  expect_failure(l2o_with({"train", "c.toml"}), 2, "--out");
  expect_failure(l2o_with({"train", "c.toml", "--out", "x", "--resume", "--overwrite"}), 2,
                 "--resume");
  expect_failure(l2o_with({"train", "c.toml", "--out", "x", "--threads", "many"}), 2, "--threads");
  expect_failure(l2o_with({"train", "c.toml", "--out", "x", "--device", "tpu"}), 2, "--device");
  expect_failure(l2o_with({"train", "c.toml", "--out", "x", "--precision", "f64"}), 2, "f64");
  expect_failure(l2o_with({"eval", "m", "--task", "quadratic", "--runs", "0"}), 2, "--runs");
  for (const char* budget : {"-1", "0x10", "1.5GB", "99999999999999999999", "3 parsecs"}) {
    expect_failure(l2o_with({"eval", "m", "--task", "quadratic", "--memory-budget", budget}), 2,
                   "--memory-budget");
  }
}

TEST(Usage, NothingAfterTwoDashesIsAFlag) {
  expect_failure(l2o_with({"info", "--", "--none.safetensors"}), 74, "--none.safetensors");
}

TEST(Usage, DevicesAreListed) {
  const ProcessResult text = l2o_with({"devices"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.out.find("cpu"), 0U);

  const ProcessResult result = l2o_with({"devices", "--json"});
  const auto devices = nlohmann::json::parse(result.out);
  ASSERT_GE(devices.size(), 1U);
  EXPECT_EQ(devices[0]["name"], "cpu");
  EXPECT_GE(devices[0]["threads"].get<int>(), 1);
  EXPECT_GT(devices[0]["memory_bytes"].get<std::uint64_t>(), 0U);
}

TEST(Usage, IsQuietIfTheReaderOfStdoutExits) {
  Process process({L2O_PROGRAM, "devices"});
  process.close_stdout();
  const ProcessResult closed = process.finish();
  // The pipe may have been closed before or after the write: either way the program is quiet.
  EXPECT_TRUE(closed.exit_code == 0 || closed.exit_code == 74) << closed.exit_code;
  EXPECT_EQ(closed.err, "");
}

}  // namespace
}  // namespace l2o
