// Integers on the command line: decimal, whole, in range.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/files.h"

namespace l2o {
namespace {

/// A command line that lacks the value of an option that takes an integer.
struct IntegerOption {
  std::vector<std::string> command;
  std::string option;
};

const std::vector<IntegerOption>& integer_options() {
  static const std::vector<std::string> train = {"train", "c.toml", "--out", "x"};
  static const std::vector<std::string> eval = {"eval", "m", "--task", "quadratic"};
  static const std::vector<IntegerOption> options = {
      {train, "--seed"}, {train, "--extend"}, {train, "--threads"},
      {eval, "--steps"}, {eval, "--runs"},    {eval, "--tuning-runs"},
      {eval, "--seed"},  {eval, "--threads"}, {{"task", "c.toml"}, "--threads"},
  };
  return options;
}

TEST(Integers, EveryOptionRefusesOtherValues) {
  for (const IntegerOption& each : integer_options()) {
    for (const char* value : {"-1", "1.5", "1e3", "0x10", "0b1", "5x", "+5", " 5", "1_000",
                              "18446744073709551616", "99999999999999999999999"}) {
      std::vector<std::string> command = each.command;
      command.insert(command.end(), {each.option, value});
      const ProcessResult result = l2o_with(command);
      expect_failure(result, 2, each.option);
      EXPECT_NE(result.err.find("'" + std::string(value) + "' is not a"), std::string::npos)
          << result.err;
    }
  }
}

TEST(Integers, TheMessageNamesTheRange) {
  expect_failure(l2o_with({"eval", "m", "--task", "quadratic", "--steps", "0"}), 2,
                 "--steps: '0' is not an integer from 1 to 10000000");
  // Seeds of configurations are TOML's integers.
  expect_failure(l2o_with({"train", "c", "--out", "x", "--seed", "18446744073709551615"}), 2,
                 "--seed: '18446744073709551615' is not an integer from 0 to 9223372036854775807");
}

TEST(Integers, LeadingZerosAreDecimal) {
  const TemporaryDirectory directory;
  const std::string model = write_model(directory);
  const std::string config = directory.write("small.toml", kSmallConfig);
  const ProcessResult eval = l2o_with(
      {"eval", model, "--task", config, "--steps", "010", "--runs", "02", "--baselines", "sgd@1e-3",
       "--seed", "0019", "--threads", "01", "--memory-budget", "0100GB", "--json", "-"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  const auto json = nlohmann::json::parse(eval.out);
  EXPECT_EQ(json["steps"], 10);
  EXPECT_EQ(json["runs"], 2);
  EXPECT_EQ(json["seed"], 19);

  const std::string run = directory.file("run");
  const ProcessResult train = l2o_with({"train", config, "--out", run, "--seed", "010"});
  ASSERT_EQ(train.exit_code, 0) << train.err;
  EXPECT_NE(test::contents(run + "/config.toml").find("seed = 10\n"), std::string::npos);
}

TEST(Integers, TheWholeRangeOfTheTypeIsAccepted) {
  const TemporaryDirectory directory;
  const ProcessResult result =
      l2o_with({"eval", write_model(directory), "--task", "quadratic", "--steps", "2", "--runs",
                "1", "--baselines", "sgd@1e-3", "--seed", "18446744073709551615", "--json", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["seed"].get<std::uint64_t>(), ~std::uint64_t{0});
}

TEST(Integers, ConfigurationsNameTheKey) {
  const TemporaryDirectory directory;
  const std::string config = directory.write("small.toml", kSmallConfig);
  const std::string run = directory.file("run");
  for (const auto& [assignment, part] :
       {std::pair<std::string, std::string>{"train.episodes=1e10", "train.episodes = "},
        {"train.tasks=4294967297", "train.tasks = 4294967297"},
        {"seed=-1", "seed = -1"},
        {"seed=99999999999999999999", "seed = "},
        {"seed=010", "seed = "},
        {"task.dimension=2.0", "task.dimension = 2.0"}}) {
    expect_failure(l2o_with({"train", config, "--out", run, "--set", assignment}), 2, part);
    expect_failure(l2o_with({"train", config, "--out", run, "--set", assignment}), 2,
                   "expected an integer");
  }
}

}  // namespace
}  // namespace l2o
