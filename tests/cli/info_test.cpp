// l2o info: which kernels would compute a model's rule.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "host/backend/backend.h"
#include "tests/cli/program.h"

namespace l2o {
namespace {

TEST(InfoVerb, NamesTheKernelsOfADevice) {
  const TemporaryDirectory directory;
  const std::string model = write_model(directory);
  const ProcessResult text = l2o_with({"info", model, "--device", "cpu"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("\nkernels               vectors of "), std::string::npos) << text.out;

  const ProcessResult json = l2o_with({"info", model, "--device", "cpu", "--json"});
  const std::string kernels = nlohmann::json::parse(json.out)["kernels"];
  EXPECT_TRUE(kernels.ends_with(" in float32")) << kernels;
}

TEST(InfoVerb, OpensNoDeviceThatNobodyAskedFor) {
  const TemporaryDirectory directory;
  const ProcessResult result = l2o_with({"info", write_model(directory), "--json"});
  EXPECT_FALSE(nlohmann::json::parse(result.out).contains("kernels")) << result.out;
}

TEST(InfoVerb, SaysThatThereIsNoGpu) {
  if (why_no_accelerator().empty()) GTEST_SKIP() << "there is a GPU";
  const TemporaryDirectory directory;
  expect_failure(l2o_with({"info", write_model(directory), "--device", "cuda"}), 69, "CUDA");
}

}  // namespace
}  // namespace l2o
