// Training on several families of tasks, from an existing model, and extending a finished run.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "host/optimizer/model_file.h"
#include "tests/engine/small_run.h"
#include "tests/support/error_of.h"
#include "tests/support/small_images.h"

namespace l2o {
namespace {

using test::run_bytes;
using test::SmallRun;

const std::string kMixture = R"(
seed = 5
[[task]]
name = "quadratic"
functions = 2
dimension = 3
scale = "initial"
[[task]]
name = "quadratic"
label = "wide"
functions = 3
dimension = 7
tasks = 3
weight = 0.5
scale = 100.0
[[task]]
name = "simple"
dimension = 4
[optimizer]
layers = 1
hidden = 4
[train]
episodes = 12
steps = 7
unroll_length = 3
tasks = 2
checkpoint_every = 4
[evaluation]
every = 5
runs = 3
)";

TEST(MixtureRun, ReportsEveryMemberAndWeightedSum) {
  const TemporaryDirectory root;
  const SmallRun run{root.file("run"), kMixture};
  run.train();
  int validations = 0;
  for (const nlohmann::json& line : test::metrics_of(run.directory)) {
    const nlohmann::json& members = line.at("members");
    ASSERT_EQ(members.size(), 3U);
    const double wide = members.at("wide"), simple = members.at("simple");
    const double first = members.at("quadratic-0");
    const bool is_validation = line.contains("validation");
    validations += is_validation ? 1 : 0;
    const double total = line.at(is_validation ? "validation" : "final_loss");
    // The rest is the first member's loss over its initial loss: of the order of 1.
    const double rest = (total - 0.5 / 100.0 * wide - simple) / first;
    EXPECT_GT(rest, 0.1);
    EXPECT_LT(rest, 10.0);
  }
  EXPECT_EQ(validations, 3);
  const std::string resolved = test::contents(run.directory + "/config.toml");
  for (const char* line :
       {"[[task]]\n", "label = \"wide\"\n", "scale = \"initial\"\n", "tasks = 3\n"}) {
    EXPECT_NE(resolved.find(line), std::string::npos) << line;
  }
}

TEST(MixtureRun, AfterStopAtEveryUnrollGivesSameBytes) {
  const TemporaryDirectory root;
  const SmallRun uninterrupted{root.file("uninterrupted"), kMixture};
  uninterrupted.train();
  const SmallRun chopped{root.file("chopped"), kMixture};
  EXPECT_LE(train_unroll_by_unroll(chopped, 37), 37);
  EXPECT_EQ(run_bytes(chopped.directory), run_bytes(uninterrupted.directory));
}

TEST(MixtureRun, RejectsInconsistentTables) {
  const TemporaryDirectory root;
  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::vector<std::string>& parts) {
    SCOPED_TRACE(to);
    std::string config = kMixture;
    config.replace(config.find(from), from.size(), to);
    const SmallRun run{root.file("run"), config};
    expect_error(Status::kUsage, parts, [&] { run.train(); });
    EXPECT_FALSE(std::filesystem::exists(run.directory));
  };
  refused("label = \"wide\"", "label = \"simple\"", {"label \"simple\""});
  refused("label = \"wide\"", "label = \"a\\n!touch pwned\"",
          {"task[1].label", "control characters"});
  refused("label = \"wide\"", "label = \"a\\u007F\"", {"task[1].label", "control characters"});
  refused("weight = 0.5", "weight = 0.0", {"task[1].weight"});
  refused("scale = 100.0", "scale = \"final\"", {"task[1].scale", "\"initial\""});
  refused("dimension = 7", "dimensions = 7", {"task[1].dimensions", "task[1].dimension"});
  refused("name = \"simple\"", "name = \"easy\"", {"task[2].name", "easy"});
  refused("tasks = 3", "tasks = 0", {"task[1].tasks"});
  refused("hidden = 4", "hidden = 4\n[optimizer.a]\nparameters = [\"theta\"]",
          {"optimizer.hidden", "optimizer.a.hidden"});
  refused("[optimizer]\nlayers = 1\nhidden = 4", "[optimizer.a]\nhidden = 4",
          {"optimizer.a.parameters"});
  refused("[optimizer]\nlayers = 1\nhidden = 4", "[optimizer.a]\nparameters = [\"x*\"]",
          {"theta", "parameters = [\"*\"]"});
  refused("[optimizer]\nlayers = 1\nhidden = 4",
          "[optimizer.a]\nparameters = [\"t*\"]\n[optimizer.b]\nparameters = [\"*a\"]",
          {"a, b", "theta"});
  refused("[optimizer]\nlayers = 1\nhidden = 4",
          "[optimizer.a]\nparameters = [\"*\"]\n[optimizer.b]\nparameters = [\"conv*\"]",
          {"optimizer.b", "conv*", "theta"});
  // The model file could not be read.
  for (const char* name : {"\"a,b\"", "\"\"", "\"a.b\"", "\"a b\"", "\"\\u00e9\""}) {
    refused("[optimizer]\nlayers = 1\nhidden = 4",
            "[optimizer." + std::string(name) + "]\nparameters = [\"*\"]",
            {"[optimizer.\"", "letters, digits, _ and -"});
  }
}

TEST(MixtureRun, OverridesApplyToOneMember) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run"), kMixture, {"task[1].dimension=4"}};
  run.train();
  EXPECT_NE(test::contents(run.directory + "/config.toml").find("dimension = 4\n"),
            std::string::npos);
  run.directory = root.file("other");
  run.overrides = {"task[3].dimension=4"};
  expect_error(Status::kUsage, {"task[3]", "3 tables"}, [&] { run.train(); });
  run.overrides = {"task.dimension=4"};
  expect_error(Status::kUsage, {"several [[task]]", "task[0].key"}, [&] { run.train(); });
}

const std::string kGroups = R"(
[[task]]
name = "network"
data = "mnist"
resize = 6
layers = ["conv 3 3", "batch_norm", "relu", "max_pool 2", "dense 5", "tanh"]
init = "torch"
batch_size = 4
[[task]]
name = "quadratic"
functions = 2
dimension = 5
convex = 3
random_scaling = 0.5
tasks = 2
[optimizer.conv]
parameters = ["conv*", "theta"]
layers = 1
hidden = 3
[optimizer.other]
parameters = ["*"]
layers = 2
hidden = 4
[train]
episodes = 6
steps = 7
unroll_length = 3
checkpoint_every = 4
[evaluation]
every = 3
runs = 2
)";

TEST(GroupsRun, AfterStopAtEveryUnrollGivesSameBytes) {
  const TemporaryDirectory root;
  test::write_small_images(root);
  SmallRun uninterrupted{root.file("uninterrupted"), kGroups};
  uninterrupted.data = root.path();
  uninterrupted.train();
  const Model model = load_model(uninterrupted.directory + "/final.safetensors");
  ASSERT_EQ(model.rules.size(), 2U);
  EXPECT_EQ(model.rules[0].group, (ParameterGroup{"conv", {"conv*", "theta"}}));
  EXPECT_EQ(model.rules[0].optimizer.cell.lstm.hidden, 3);
  EXPECT_EQ(model.rules[1].optimizer.cell.lstm.hidden, 4);
  SmallRun chopped = uninterrupted;
  chopped.directory = root.file("chopped");
  EXPECT_LE(train_unroll_by_unroll(chopped, 19), 19);
  EXPECT_EQ(run_bytes(chopped.directory), run_bytes(uninterrupted.directory));
}

TEST(GroupsRun, IsNotResumedOnOtherData) {
  const TemporaryDirectory root, other;
  test::write_small_images(root);
  test::write_small_images(other);
  SmallRun run{root.file("run"), kGroups};
  run.data = root.path();
  run.train();
  // Data of the same shape, one pixel apart.
  const std::string images = other.file("train-images-idx3-ubyte");
  std::string bytes = test::contents(images);
  bytes.back() = static_cast<char>(bytes.back() ^ 0x40);
  test::write_contents(images, bytes);
  run.data = other.path();
  run.resume = true;
  expect_error(Status::kBadData, {"other data", "--data"}, [&] { run.train(); });
  run.data = root.path();
  run.train();
}

TEST(From, InitializesEveryRuleFromModel) {
  const TemporaryDirectory root;
  test::write_small_images(root);
  const SmallRun first{root.file("first")};
  first.train();
  const std::string model = first.directory + "/final.safetensors";
  SmallRun second{
      root.file("second"),
      kGroups,
      {"train.from=\"" + model + "\"", "train.episodes=1", "meta_optimizer.learning_rate=1e-12",
       "optimizer.conv.hidden=4", "optimizer.other.layers=1"}};
  second.data = root.path();
  second.train();
  const std::vector<float> start = load_model(model).only_rule().meta_parameters;
  for (const GroupRule& rule : load_model(second.directory + "/final.safetensors").rules) {
    const std::vector<float>& end = rule.optimizer.meta_parameters;
    ASSERT_EQ(end.size(), start.size());
    for (std::size_t i = 0; i < start.size(); ++i) EXPECT_NEAR(end[i], start[i], 1e-10);
  }
}

TEST(From, StartsWithMetaParametersOfModel) {
  const TemporaryDirectory root;
  const SmallRun first{root.file("first")};
  first.train();
  const std::string model = first.directory + "/final.safetensors";
  // The smallest allowed learning rate makes no difference representable in a float.
  SmallRun second{
      root.file("second"),
      test::kSmallRun,
      {"train.from=\"" + model + "\"", "train.episodes=1", "meta_optimizer.learning_rate=1e-12"}};
  second.train();
  const auto phi = [](const std::string& path) {
    return load_model(path).only_rule().meta_parameters;
  };
  const std::vector<float> start = phi(model), end = phi(second.directory + "/final.safetensors");
  for (std::size_t i = 0; i < start.size(); ++i) EXPECT_NEAR(end[i], start[i], 1e-10);

  second.directory = root.file("third");
  second.overrides.push_back("optimizer.hidden=5");
  expect_error(Status::kUsage, {"train.from", "layers = 1, hidden = 4", "layers = 1, hidden = 5"},
               [&] { second.train(); });
  second.overrides = {"train.from=\"" + root.file("none") + "\""};
  expect_error(Status::kInputOutput, {root.file("none")}, [&] { second.train(); });
  EXPECT_FALSE(std::filesystem::exists(second.directory));
}

TEST(From, OnlyTheBeginningOfARunNeedsTheModel) {
  const TemporaryDirectory root;
  const SmallRun first{root.file("first")};
  first.train();
  const std::string model = first.directory + "/final.safetensors", moved = root.file("moved");
  SmallRun run{root.file("run"), test::kSmallRun, {"train.from=\"" + model + "\""}};
  run.train();
  const auto bytes = test::run_bytes(run.directory);
  std::filesystem::rename(model, moved);
  run.resume = true;
  run.train();
  EXPECT_EQ(test::run_bytes(run.directory), bytes);
  // Without a checkpoint the run begins again.
  for (const std::string& name : test::checkpoint_files(run.directory)) {
    std::filesystem::remove(run.directory + "/" + name);
  }
  std::filesystem::remove(run.directory + "/final.safetensors");
  expect_error(Status::kInputOutput, {model}, [&] { run.train(); });
  std::filesystem::rename(moved, model);
  run.train();
  EXPECT_EQ(test::run_bytes(run.directory), bytes);
  std::filesystem::rename(model, moved);
  run.resume = false;
  run.extend = true;
  run.overrides.push_back("train.episodes=13");
  run.train();
}

TEST(Extend, MatchesLongerRun) {
  // With a constant rate, and evaluations that fall on the same episodes.
  const std::vector<std::string> settings = {"meta_optimizer.schedule=constant",
                                             "evaluation.every=4"};
  const TemporaryDirectory root;
  SmallRun uninterrupted{root.file("uninterrupted"), test::kSmallRun, settings};
  uninterrupted.overrides.push_back("train.episodes=12");
  uninterrupted.train();

  SmallRun extended{root.file("extended"), test::kSmallRun, settings};
  extended.overrides.push_back("train.episodes=4");
  extended.train();
  extended.overrides.back() = "train.episodes=8";
  extended.resume = true;
  expect_error(Status::kUsage, {"train.episodes"}, [&] { extended.train(); });
  extended.resume = false;
  extended.extend = true;
  extended.train();
  extended.overrides.back() = "train.episodes=12";
  // Killed half-way, and started again with the same arguments.
  extended.progress = [](const TrainProgress& progress) {
    if (progress.episode == 10) throw std::runtime_error("no more");
  };
  EXPECT_THROW(extended.train(), std::runtime_error);
  extended.progress = {};
  extended.train();
  EXPECT_EQ(run_bytes(extended.directory), run_bytes(uninterrupted.directory));
  EXPECT_NE(test::contents(extended.directory + "/config.toml").find("episodes = 12\n"),
            std::string::npos);
}

TEST(Extend, RejectsOtherConfigurationAndFewerEpisodes) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.train();
  run.extend = true;
  run.overrides = {"train.episodes=20", "train.unroll_length=4"};
  expect_error(Status::kUsage, {"train.unroll_length"}, [&] { run.train(); });
  run.overrides = {"train.episodes=11"};
  expect_error(Status::kUsage, {"12 episodes", "11"}, [&] { run.train(); });
  EXPECT_EQ(test::contents(run.directory + "/config.toml").find("episodes = 11"),
            std::string::npos);
  run.overrides.clear();
  EXPECT_EQ(run.train().episodes, 12) << "nothing is left to do";
}

}  // namespace
}  // namespace l2o
