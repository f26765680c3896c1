#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "host/meta/meta_optimizer.h"
#include "host/optimizer/model_file.h"
#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

using test::expect_refused;
using test::meta_parameters;
using test::optimizer;
using test::Owned;

TEST(Optimizer, MatchesTheEngines) {
  const Owned<l2o_optimizer> made = optimizer(
      "layers = 1\nhidden = 7\npreprocessing = \"identity\"\noutput_init = \"truncated_normal\"\n"
      "seed = 12\n");
  LstmConfig lstm;
  lstm.layers = 1;
  lstm.hidden = 7;
  lstm.preprocessing = Preprocessing::kIdentity;
  EXPECT_EQ(meta_parameters(made),
            make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 12).meta_parameters);
}

TEST(Optimizer, DefaultsAreThePapersShape) {
  for (const char* config : {static_cast<const char*>(nullptr), ""}) {
    Owned<l2o_optimizer> made;
    ASSERT_OK(l2o_optimizer_create(config, made.out()));
    EXPECT_EQ(l2o_optimizer_meta_parameter_count(made.get()), 5141U);
    EXPECT_EQ(l2o_optimizer_state_size(made.get()), 80U);
  }
}

TEST(Optimizer, NamesAWrongKey) {
  Owned<l2o_optimizer> made;
  expect_refused(l2o_optimizer_create("hiden = 3", made.out()), L2O_INVALID_ARGUMENT, "hidden");
  expect_refused(l2o_optimizer_create("hidden = 65", made.out()), L2O_INVALID_ARGUMENT, "hidden");
  expect_refused(l2o_optimizer_create("hidden = = 3", made.out()), L2O_INVALID_ARGUMENT, "config");
  EXPECT_EQ(made.get(), nullptr);
}

TEST(Optimizer, SetsAndGetsMetaParameters) {
  const Owned<l2o_optimizer> made = optimizer();
  const std::vector<float> values =
      test::Numbers(1).uniform(meta_parameters(made).size(), -1.0F, 1.0F);
  EXPECT_OK(l2o_optimizer_set_meta_parameters(made.get(), values.data(), values.size()));
  EXPECT_EQ(meta_parameters(made), values);
}

TEST(Optimizer, RefusesNonFiniteMetaParameters) {
  const Owned<l2o_optimizer> made = optimizer();
  const std::vector<float> before = meta_parameters(made);
  std::vector<float> values = before;
  values[3] = std::numeric_limits<float>::infinity();
  expect_refused(l2o_optimizer_set_meta_parameters(made.get(), values.data(), values.size()),
                 L2O_INVALID_ARGUMENT, "values[3]");
  EXPECT_EQ(meta_parameters(made), before);
}

TEST(Optimizer, ModelFilesMatchTheEngines) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("model.safetensors");
  const Owned<l2o_optimizer> saved = optimizer();
  ASSERT_OK(l2o_optimizer_save(saved.get(), path.c_str()));
  EXPECT_EQ(load_model(path).only_rule().meta_parameters, meta_parameters(saved));

  Owned<l2o_optimizer> loaded;
  ASSERT_OK(l2o_optimizer_load(path.c_str(), loaded.out()));
  EXPECT_EQ(meta_parameters(loaded), meta_parameters(saved));
  EXPECT_EQ(l2o_optimizer_state_size(loaded.get()), l2o_optimizer_state_size(saved.get()));
}

TEST(Optimizer, ChangedMetaParametersAreNotOfTheModelsConfiguration) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("trained.safetensors");
  const std::string saved = directory.file("saved.safetensors");
  Optimizer trained = make_lstm_optimizer({.layers = 1, .hidden = 2}, OutputInit::kZero, 1);
  trained.trained_on = "seed = 1\n";
  save_model(path, trained);
  const std::vector<float> phi(trained.meta_parameters.size(), 0.5F);
  const auto trained_on_after = [&](const auto& change) {
    Owned<l2o_optimizer> loaded;
    EXPECT_OK(l2o_optimizer_load(path.c_str(), loaded.out()));
    EXPECT_OK(change(loaded.get()));
    EXPECT_OK(l2o_optimizer_save(loaded.get(), saved.c_str()));
    return load_model(saved).only_rule().trained_on;
  };
  EXPECT_EQ(trained_on_after([](l2o_optimizer*) { return L2O_OK; }), "seed = 1\n");
  EXPECT_EQ(trained_on_after([&](l2o_optimizer* loaded) {
              return l2o_optimizer_set_meta_parameters(loaded, phi.data(), phi.size());
            }),
            "");
  EXPECT_EQ(trained_on_after([&](l2o_optimizer* loaded) {
              return l2o_optimizer_apply_meta_gradient(loaded, phi.data(), phi.size(), 0.1F);
            }),
            "");
}

TEST(Optimizer, OneOfSeveralRulesIsLoadedByName) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("two.safetensors");
  const auto rule = [](int hidden) {
    return make_lstm_optimizer({.layers = 1, .hidden = hidden}, OutputInit::kZero, 1);
  };
  save_model(path, Model{{{{"conv", {"conv*"}}, rule(2)}, {{"rest", {"*"}}, rule(3)}}});
  Owned<l2o_optimizer> loaded;
  ASSERT_OK(l2o_optimizer_load_rule(path.c_str(), "rest", loaded.out()));
  EXPECT_EQ(l2o_optimizer_state_size(loaded.get()), 6U);
  Owned<l2o_optimizer> none;
  expect_refused(l2o_optimizer_load(path.c_str(), none.out()), L2O_INVALID_ARGUMENT,
                 "2 rules (conv, rest)");
  expect_refused(l2o_optimizer_load_rule(path.c_str(), "dense", none.out()), L2O_INVALID_ARGUMENT,
                 "conv, rest");
  const std::string one = directory.file("one.safetensors");
  save_model(one, rule(2));
  expect_refused(l2o_optimizer_load_rule(one.c_str(), "conv", none.out()), L2O_INVALID_ARGUMENT,
                 "one rule");
}

TEST(Optimizer, DistinguishesMissingAndDamagedFiles) {
  const TemporaryDirectory directory;
  Owned<l2o_optimizer> loaded;
  expect_refused(l2o_optimizer_load(directory.file("none").c_str(), loaded.out()), L2O_INPUT_OUTPUT,
                 "none");
  const std::string path = directory.write("damaged", std::string("not a model"));
  expect_refused(l2o_optimizer_load(path.c_str(), loaded.out()), L2O_BAD_DATA, "damaged");
  const Owned<l2o_optimizer> made = optimizer();
  expect_refused(l2o_optimizer_save(made.get(), directory.file("no/where").c_str()),
                 L2O_INPUT_OUTPUT, "no/where");
}

TEST(Optimizer, AppliesMetaGradientsLikeTheEngine) {
  const Owned<l2o_optimizer> made = optimizer();
  Optimizer expected;
  expected.cell.lstm.hidden = 5;
  expected.meta_parameters = meta_parameters(made);
  const auto backend = make_backend({DeviceKind::kCpu, 1});
  DeviceOptimizer on_device(*backend, expected);
  MetaOptimizer adam(*backend, {}, expected.meta_parameters.size());

  test::Numbers numbers(2);
  for (int update = 0; update < 5; ++update) {
    const std::vector<float> gradient =
        numbers.uniform(expected.meta_parameters.size(), -1.0F, 1.0F);
    EXPECT_OK(l2o_optimizer_apply_meta_gradient(made.get(), gradient.data(), gradient.size(),
                                                0.01F * static_cast<float>(update + 1)));
    backend->upload(adam.meta_gradient(), gradient.data(), gradient.size() * sizeof(float));
    adam.set_learning_rate(double{0.01F * static_cast<float>(update + 1)});
    adam.update(on_device);
    EXPECT_EQ(meta_parameters(made), on_device.meta_parameters().download());
  }
}

TEST(Optimizer, RefusesANonFiniteMetaGradient) {
  const Owned<l2o_optimizer> made = optimizer();
  const std::vector<float> before = meta_parameters(made);
  std::vector<float> gradient(before.size(), 1.0F);
  // 1e25 is finite, but its square is not, and would keep Adam from ever moving this element again.
  for (const float unusable : {std::numeric_limits<float>::quiet_NaN(), 1e25F}) {
    gradient.back() = unusable;
    expect_refused(
        l2o_optimizer_apply_meta_gradient(made.get(), gradient.data(), gradient.size(), 0.1F),
        L2O_NOT_FINITE, "the meta-gradient is not finite, or its norm is above 1.8e19");
    EXPECT_EQ(meta_parameters(made), before);
  }
  gradient.back() = 1e19F;
  EXPECT_OK(l2o_optimizer_apply_meta_gradient(made.get(), gradient.data(), gradient.size(), 0.1F));
  gradient.back() = 0.0F;
  for (const float rate : {0.0F, -1.0F, std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::infinity()}) {
    expect_refused(
        l2o_optimizer_apply_meta_gradient(made.get(), gradient.data(), gradient.size(), rate),
        L2O_INVALID_ARGUMENT, "learning_rate");
  }
}

TEST(Optimizer, RefusesAStepThatMakesPhiNonFinite) {
  const Owned<l2o_optimizer> made = optimizer(), expected = optimizer();
  const std::size_t size = meta_parameters(made).size();
  constexpr float kLargest = std::numeric_limits<float>::max();
  const auto step = [&](const Owned<l2o_optimizer>& rule, float element) {
    const std::vector<float> gradient(size, element);
    return l2o_optimizer_apply_meta_gradient(rule.get(), gradient.data(), size, kLargest);
  };
  EXPECT_OK(step(made, 1.0F));
  const std::vector<float> before = meta_parameters(made);
  expect_refused(step(made, 1.0F), L2O_NOT_FINITE, "would make the meta-parameters non-finite");
  EXPECT_EQ(meta_parameters(made), before);

  // Nor do the moments remember the refused step.
  EXPECT_OK(step(expected, 1.0F));
  for (const Owned<l2o_optimizer>* rule : {&made, &expected}) EXPECT_OK(step(*rule, -1.0F));
  EXPECT_EQ(meta_parameters(made), meta_parameters(expected));
}

}  // namespace
}  // namespace l2o
