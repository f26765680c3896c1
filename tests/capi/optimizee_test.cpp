// l2o.h: optimizees and evaluate.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "host/core/config.h"
#include "host/meta/rollout.h"
#include "tests/capi/objective.h"
#include "tests/support/small_images.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

using test::cpu_context;
using test::expect_refused;
using test::optimizer;
using test::Owned;

TEST(Evaluate, MatchesTheEnginesRollout) {
  const std::string task = "name = \"quadratic\"\nfunctions = 2\ndimension = 3\n";
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  Owned<l2o_optimizee> optimizee;
  ASSERT_OK(l2o_optimizee_create(context.get(), task.c_str(), 3, nullptr, optimizee.out()));
  std::vector<float> actual(3 * 11);
  ASSERT_OK(l2o_evaluate(context.get(), rule.get(), optimizee.get(), 17, 5, 10, actual.data(),
                         actual.size()));

  const auto backend = make_backend({DeviceKind::kCpu, 1});
  ConfigReader options = ConfigReader::from_text(task, "test");
  const auto engine_optimizee = make_optimizee({*backend, 3, ""}, options);
  LstmConfig lstm;
  lstm.hidden = 5;
  DeviceOptimizer engine_rule(*backend, make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 1));
  std::vector<float> expected;
  for (const auto& curve : rollout(engine_rule, *engine_optimizee, {17, 5}, 10)) {
    expected.insert(expected.end(), curve.begin(), curve.end());
  }
  EXPECT_EQ(actual, expected);
}

/// The same rows passed as arrays and read from a file, with every transformation of both.
TEST(Optimizee, ArraysEqualAFile) {
  const std::vector<std::uint8_t> images = test::random_bytes(1, 30 * 6 * 8 * 3, 256);
  std::vector<std::int64_t> labels;
  for (int row = 0; row < 30; ++row) labels.push_back(row % 5);
  test::SafetensorsBuilder file;
  file.add("inputs", {30, 6, 8, 3}, images);
  file.add("labels", {30}, labels);
  const TemporaryDirectory directory;
  directory.write("a.safetensors", file.bytes());

  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer("layers = 1\nhidden = 5\n");
  const std::string network =
      "name = \"network\"\nlayers = [\"conv 3 3\", \"relu\"]\nbatch_size = 7\ninit = \"he\"\n"
      "classes = [4, 0, 2]\ngrey = true\nresize = 5\nstandardise = true\n";
  l2o_data data;
  l2o_data_init(&data);
  data.rows = 30;
  data.height = 6;
  data.width = 8;
  data.channels = 3;
  data.input_bytes = images.data();
  data.labels = labels.data();
  Owned<l2o_optimizee> of_arrays, of_file;
  EXPECT_OK(
      l2o_optimizee_create_with_data(context.get(), network.c_str(), 2, &data, of_arrays.out()));
  EXPECT_OK(l2o_optimizee_create(context.get(), (network + "data = \"a.safetensors\"\n").c_str(), 2,
                                 directory.path().c_str(), of_file.out()));
  std::vector<float> curves[2];
  for (int i = 0; i < 2; ++i) {
    curves[i].resize(2 * 4);
    EXPECT_OK(l2o_evaluate(context.get(), rule.get(), i == 0 ? of_arrays.get() : of_file.get(), 3,
                           0, 3, curves[i].data(), curves[i].size()));
  }
  EXPECT_EQ(curves[0], curves[1]);
  EXPECT_NE(curves[0][0], curves[0][3]);
}

TEST(Optimizee, ErrorsNameTheCause) {
  const Owned<l2o_context> context = cpu_context();
  Owned<l2o_optimizee> optimizee;
  const auto refuse = [&](const char* config, std::size_t tasks, const std::string& part) {
    expect_refused(l2o_optimizee_create(context.get(), config, tasks, nullptr, optimizee.out()),
                   L2O_INVALID_ARGUMENT, part);
  };
  refuse(nullptr, 1, "name");
  refuse("name = \"quadratik\"", 1, "quadratic");
  refuse("name = \"quadratic\"\nfunctons = 3", 1, "functions");
  refuse("name = \"quadratic\"", 0, "tasks");

  l2o_objective objective;
  l2o_objective_init(&objective);
  expect_refused(l2o_optimizee_create_callback(context.get(), &objective, 1, optimizee.out()),
                 L2O_INVALID_ARGUMENT, "coordinates");
  objective.coordinates = 2;
  expect_refused(l2o_optimizee_create_callback(context.get(), &objective, 1, optimizee.out()),
                 L2O_INVALID_ARGUMENT, "initial_parameters");

  l2o_data data;
  l2o_data_init(&data);
  const float value = 1.0F;
  const std::int64_t label = 0;
  data.inputs = &value;
  data.labels = &label;
  for (const std::int64_t* labels : {&label, static_cast<const std::int64_t*>(nullptr)}) {
    data.labels = labels;
    expect_refused(
        l2o_optimizee_create_with_data(context.get(), "name = \"network\"\nlayers = []\n", 1, &data,
                                       optimizee.out()),
        L2O_BAD_DATA, "it has no rows");
  }
}

}  // namespace
}  // namespace l2o
