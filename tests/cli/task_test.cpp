// l2o task, and the examples of docs/tasks.md.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/small_images.h"

namespace l2o {
namespace {

class Task : public testing::Test {
 protected:
  Task() { test::write_small_images(data_); }

  ProcessResult task(const std::string& config, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"task", config, "--data", data_.path(), "--device", "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    return l2o_with(words);
  }

  const TemporaryDirectory data_, directory_;
};

/// Every example passes l2o task, trains, continues, and its model is evaluated on it.
TEST_F(Task, EveryExampleRuns) {
  int examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(L2O_SOURCE_DIR "/examples/tasks")) {
    const std::string path = entry.path().string(), out = directory_.file(entry.path().stem());
    SCOPED_TRACE(path);
    ++examples;
    const auto look = nlohmann::json::parse(task(path, {"--json"}).out);
    for (const nlohmann::json& member : look.at("members")) {
      EXPECT_NEAR(member.at("slope_ratio"), 1.0, 0.1) << member.at("label");
    }
    const std::vector<std::string> train = {"train",  path,
                                            "--data", data_.path(),
                                            "--out",  out,
                                            "--set",  "train.steps=4",
                                            "--set",  "train.unroll_length=2",
                                            "--set",  "evaluation.runs=2"};
    std::vector<std::string> first = train, second = train;
    first.insert(first.end(), {"--set", "train.episodes=2"});
    second.insert(second.end(), {"--extend", "3"});
    for (const std::vector<std::string>& words : {first, second}) {
      const ProcessResult result = l2o_with(words);
      EXPECT_EQ(result.exit_code, 0) << result.err;
    }
    const ProcessResult judged = l2o_with(
        {"eval", out + "/best.safetensors", "--task", path, "--data", data_.path(), "--steps", "1",
         "--runs", "2", "--baselines", "sgd", "--tuning-runs", "2", "--json", "-"});
    EXPECT_EQ(judged.exit_code, 0) << judged.err;
    const auto report = nlohmann::json::parse(judged.out);
    const std::size_t members = report.contains("members") ? report["members"].size() : 1;
    EXPECT_EQ(members, look["members"].size());
  }
  EXPECT_EQ(examples, 5);
}

TEST_F(Task, SummarizesAConfiguration) {
  const std::string config = L2O_SOURCE_DIR "/examples/tasks/residual.toml";
  const ProcessResult text = task(config);
  EXPECT_EQ(text.exit_code, 0) << text.err;
  for (const char* part : {"conv0.weight", "3 x 3 x 1 x 8", "rule conv", "batch_norm2.shift",
                           "rule rest", "dense0.bias", "loss at the start", "slope by differences",
                           "memory:", "an episode of 100 steps"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " is not in " << text.out;
  }
  const auto json = nlohmann::json::parse(task(config, {"--json"}).out);
  const nlohmann::json& member = json.at("members").at(0);
  std::int64_t size = 0;
  for (const nlohmann::json& tensor : member.at("tensors"))
    size += tensor.at("size").get<std::int64_t>();
  EXPECT_EQ(size, member.at("coordinates").get<std::int64_t>());
  EXPECT_GT(json.at("memory_bytes"), json.at("trace_bytes"));
  EXPECT_EQ(json.at("steps"), 100);
}

TEST_F(Task, RefusesWhatTrainingRefuses) {
  const auto refused = [&](const std::string& keys, int exit_code, const std::string& part) {
    SCOPED_TRACE(keys);
    expect_failure(task(directory_.write("wrong.toml", keys)), exit_code, part);
  };
  refused("[task]\nname = \"network\"\ndata = \"mnist\"\nlayers = [\"dens 3\"]\n", 2, "dense N");
  refused("[task]\nname = \"network\"\ndata = \"mnits\"\n", 2, "mnits");
  refused("[task]\nname = \"network\"\ndata = \"kmnist\"\nclasses = [11]\n", 2, "no class 11");
  refused("[task]\nname = \"network\"\ndata = \"cifar100\"\n", 74, "train.bin");
  refused("[task]\nname = \"mnist\"\n[optimizer.a]\nparameters = [\"conv*\"]\n", 2,
          "dense0.weight");
  refused("[task]\nname = \"mnist\"\n[train]\nepisode = 3\n", 2, "train.episodes");
  expect_failure(l2o_with({"task", directory_.file("none.toml")}), 74, "none.toml");
}

/// The tasks would fit; training on them would not.
TEST_F(Task, RefusesTooLargeBeforeDrawingAnything) {
  const std::string config = directory_.write(
      "large.toml", std::string("seed = 1\n[task]\nname = \"simple\"\ndimension = 1000\n"
                                "[train]\ntasks = 10000\nepisodes = 1\n"));
  expect_failure(task(config, {"--memory-budget", "100MB"}), 71, "lower train.tasks (10000)");
  expect_failure(l2o_with({"train", config, "--out", directory_.file("run"), "--device", "cpu",
                           "--memory-budget", "100MB"}),
                 71, "lower train.tasks (10000)");
  // Nothing is written to the 0.8 GB of the tasks, nor to the 1.6 GB of scaled ones.
  for (const char* scaling : {"task.random_scaling=0", "task.random_scaling=1"}) {
    const ProcessResult result =
        task(config, {"--memory-budget", "2GB", "--set", "task.dimension=100000", "--set",
                      "train.tasks=1000", "--set", scaling});
    expect_failure(result, 71, "lower train.tasks (1000)");
    EXPECT_LT(result.peak_memory, std::size_t{300'000'000}) << scaling;
  }
  for (const char* tasks : {"task.tasks=100000", "task.tasks=1000000"}) {
    const std::vector<std::string> more = {"--set", "task.dimension=1000000", "--set", tasks};
    expect_failure(task(config, more), 71, "out of memory");
  }
}

}  // namespace
}  // namespace l2o
