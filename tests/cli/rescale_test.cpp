// l2o rescale: the same rule with longer or shorter steps.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/cli/program.h"

namespace l2o {
namespace {

const std::string kModel = L2O_SOURCE_DIR "/models/quadratic.safetensors";

nlohmann::json judged(const std::string& model, const std::string& update_scale) {
  const ProcessResult result = l2o_with(
      {"eval", model, "--task", "quadratic", "--steps", "5", "--runs", "2", "--baselines",
       "sgd@1e-3", "--set", "task.functions=2", "--update-scale", update_scale, "--json", "-"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return nlohmann::json::parse(result.out)["optimizers"][0]["curve_mean"];
}

TEST(Rescale, HasTheEffectOfTheUpdateScale) {
  const TemporaryDirectory directory;
  const std::string out = directory.file("twice.safetensors");
  const ProcessResult result = l2o_with({"rescale", kModel, "--by", "2", "--out", out});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, out + ": output scale 0.2\n");
  EXPECT_EQ(judged(out, "1"), judged(kModel, "2"));  // a power of two: the same bits
  EXPECT_NE(judged(out, "1"), judged(kModel, "1"));
}

TEST(Rescale, ScalesEveryRuleOfAModel) {
  const TemporaryDirectory directory;
  const std::string out = directory.file("half.safetensors");
  const std::string model = L2O_SOURCE_DIR "/models/cifar10.safetensors";
  const ProcessResult result = l2o_with({"rescale", model, "--by", "0.5", "--out", out});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("rule "), std::string::npos) << result.out;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 2);
}

TEST(Rescale, RefusesInvalidScales) {
  const TemporaryDirectory directory;
  const std::string out = directory.file("out.safetensors");
  expect_failure(l2o_with({"rescale", kModel, "--out", out}), 2, "--by");
  expect_failure(l2o_with({"rescale", kModel, "--by", "0", "--out", out}), 2, "--by");
  expect_failure(l2o_with({"rescale", kModel, "--by", "nan", "--out", out}), 2, "--by");
  expect_failure(l2o_with({"rescale", directory.file("none"), "--by", "2", "--out", out}), 74,
                 "none");
  expect_failure(l2o_with({"rescale", kModel, "--by", "2", "--out", directory.file("no/m")}), 74,
                 "no/m");
}

}  // namespace
}  // namespace l2o
