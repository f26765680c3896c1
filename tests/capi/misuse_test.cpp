#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <utility>

#include "tests/capi/misuse.h"

namespace l2o {
namespace {

using test::Choice;
using test::Function;
using test::functions;
using test::Numbers;
using test::Owned;
using test::World;

bool is_allowed(const Function& function, std::size_t argument, Choice choice) {
  return choice == 0 || std::ranges::count(function.lenient, std::pair(argument, choice)) > 0;
}

constexpr char kStale[] = "the context is NULL";
/// Sets a message that only calls with a context may set again.
void spoil_message() { l2o_context_synchronize(nullptr); }

bool takes_context(const Function& function) {
  for (const char* name : {"context", "run_create", "meta_gradient", "optimizee_create",
                           "trainer_create", "evaluate", "state_bytes", "l2o_step"}) {
    if (function.name.find(name) != std::string::npos) return true;
  }
  return false;
}

void expect_message(const Function& function) {
  const std::string message = l2o_last_error_message();
  EXPECT_NE(message, "") << function.name;
  EXPECT_TRUE(takes_context(function) || message != kStale) << function.name;
}

TEST(Misuse, GoodArgumentsAreAccepted) {
  World world;
  for (const Function& function : functions()) {
    const std::vector<Choice> good(function.arguments.size(), 0);
    EXPECT_EQ(function.call(world, good), L2O_OK)
        << function.name << ": " << l2o_last_error_message();
  }
}

TEST(Misuse, EveryInvalidArgumentOfEveryFunctionIsRefusedWithAMessage) {
  World world;
  int calls = 0;
  for (const Function& function : functions()) {
    for (std::size_t argument = 0; argument < function.arguments.size(); ++argument) {
      for (Choice choice = 1; choice < function.arguments[argument]; ++choice) {
        std::vector<Choice> choices(function.arguments.size(), 0);
        choices[argument] = choice;
        spoil_message();
        const l2o_status status = function.call(world, choices);
        ++calls;
        if (is_allowed(function, argument, choice)) {
          EXPECT_EQ(status, L2O_OK) << function.name << ": " << l2o_last_error_message();
          continue;
        }
        EXPECT_NE(status, L2O_OK) << function.name << ", argument " << argument << ", choice "
                                  << choice;
        EXPECT_NE(status, L2O_INTERNAL) << function.name << ": " << l2o_last_error_message();
        EXPECT_NE(std::string(l2o_status_name(status)), "unknown status");
        expect_message(function);
      }
    }
    // After all rejected calls the objects are as usable as before.
    const std::vector<Choice> good(function.arguments.size(), 0);
    EXPECT_EQ(function.call(world, good), L2O_OK) << function.name;
  }
  EXPECT_GT(calls, 250);
}

TEST(Misuse, RandomSequencesOfCalls) {
  constexpr int kCalls = 20'000;
  const std::vector<Function> all = functions();
  World world;
  Numbers numbers(2024);
  int taken = 0;
  for (int call = 0; call < kCalls; ++call) {
    const Function& function = all[numbers.below(all.size())];
    std::vector<Choice> choices;
    bool good = true;
    for (std::size_t argument = 0; argument < function.arguments.size(); ++argument) {
      // Mostly good ones, or hardly any call would succeed.
      choices.push_back(numbers.below(4) != 0 ? 0 : numbers.below(function.arguments[argument]));
      good = good && is_allowed(function, argument, choices.back());
    }
    spoil_message();
    const l2o_status status = function.call(world, choices);
    ASSERT_EQ(status == L2O_OK, good) << function.name << ": " << l2o_last_error_message();
    ASSERT_NE(status, L2O_INTERNAL) << function.name << ": " << l2o_last_error_message();
    if (status != L2O_OK) expect_message(function);
    taken += status == L2O_OK ? 1 : 0;
  }
  EXPECT_GT(taken, kCalls / 10);
  EXPECT_LT(taken, kCalls);
}

/// Objects made, used and destroyed in any order, with handles that may have been destroyed.
TEST(Misuse, RandomLifetimesOfHandles) {
  Numbers numbers(7);
  std::vector<l2o_context*> contexts = {nullptr};
  std::vector<l2o_optimizer*> optimizers = {nullptr};
  std::vector<l2o_run*> runs = {nullptr};
  const auto any = [&](auto& handles) { return handles[numbers.below(handles.size())]; };
  const std::vector<float> gradient(4, 0.5F);
  std::vector<float> parameters(4, 0.0F);
  int steps = 0;
  for (int call = 0; call < 5000; ++call) {
    switch (numbers.below(8)) {
      case 0:
        contexts.push_back(nullptr);
        l2o_context_options options;
        l2o_context_options_init(&options);
        options.threads = 1;
        l2o_context_create(&options, &contexts.back());
        break;
      case 1:
        optimizers.push_back(nullptr);
        l2o_optimizer_create("layers = 1\nhidden = 2\n", &optimizers.back());
        break;
      case 2:
        runs.push_back(nullptr);
        l2o_run_create(any(contexts), any(optimizers), 4, &runs.back());
        break;
      case 3:
        l2o_context_destroy(any(contexts));
        break;
      case 4:
        l2o_optimizer_destroy(any(optimizers));
        break;
      case 5:
        l2o_run_destroy(any(runs));
        break;
      default: {
        const l2o_status status = l2o_run_step(any(runs), gradient.data(), parameters.data());
        ASSERT_TRUE(status == L2O_OK || status == L2O_INVALID_ARGUMENT) << l2o_last_error_message();
        steps += status == L2O_OK ? 1 : 0;
      }
    }
  }
  EXPECT_GT(steps, 0);
  for (l2o_run* run : runs) l2o_run_destroy(run);
  for (l2o_optimizer* optimizer : optimizers) l2o_optimizer_destroy(optimizer);
  for (l2o_context* context : contexts) l2o_context_destroy(context);
}

TEST(Misuse, DestroyingAnythingIsHarmless) {
  World world;
  for (Choice choice = 1; choice < World::kHandles; ++choice) {
    l2o_context_destroy(world.context(choice));
    l2o_optimizer_destroy(world.optimizer(choice));
    l2o_run_destroy(world.run(choice));
    l2o_optimizee_destroy(world.optimizee(choice));
    l2o_trainer_destroy(world.trainer(choice));
  }
  for (const Function& function : functions()) {
    EXPECT_EQ(function.call(world, std::vector<Choice>(function.arguments.size(), 0)), L2O_OK)
        << function.name;
  }
}

TEST(Misuse, InitFunctionsAcceptNull) {
  l2o_context_options_init(nullptr);
  l2o_objective_init(nullptr);
  l2o_train_report_init(nullptr);
  EXPECT_NE(std::string(l2o_last_error_message()), "");
}

/// Ensures that a new function of the header is not forgotten here.
TEST(Misuse, CoversEveryFunctionOfTheHeader) {
  std::ifstream file(std::string(L2O_SOURCE_DIR) + "/host/include/l2o/l2o.h");
  std::stringstream header;
  header << file.rdbuf();
  std::set<std::string> known = {
      // Take no handle and no size: tested by name in library_test.cpp.
      "l2o_version", "l2o_status_name", "l2o_last_error_message", "l2o_backend_available"};
  for (const Function& function : functions()) known.insert(function.name);

  const std::string text = header.str();
  const std::regex declaration("L2O_API [^;(]*?(l2o_[a-z_]+)\\(");
  int found = 0;
  for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
    const std::string name = (*at)[1];
    ++found;
    const bool is_init = name.ends_with("_init") || name.ends_with("_init_sized");
    if (name.ends_with("_destroy") || is_init) continue;  // return nothing
    EXPECT_TRUE(known.contains(name)) << name;
  }
  EXPECT_GT(found, 35);
}

}  // namespace
}  // namespace l2o
