// Arguments that a user might pass by mistake: for each kind of argument a good value and bad ones.
// Buffers are real and large enough for every good size, so that a call that succeeds is a correct
// one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "host/optimizer/model_file.h"
#include "tests/capi/objective.h"
#include "tests/support/temporary_directory.h"

namespace l2o::test {

/// The index of an argument's value; 0 is the good value, the others are wrong.
using Choice = std::size_t;

/// A count that must be `expected`.
constexpr auto counts(std::size_t expected) {
  return std::to_array<std::size_t>({expected, expected + 1, expected - 1, expected + 7,
                                     SIZE_MAX / 2, std::size_t{1} << 40, SIZE_MAX});
}
/// A size that may be any value, ones that are too large for anything, and at last 0, which some
/// functions accept.
constexpr auto sizes(std::size_t good) {
  return std::to_array<std::size_t>(
      {good, std::size_t{1} << 45, SIZE_MAX / 4, SIZE_MAX / 2, SIZE_MAX, 0});
}
/// A configuration; NULL, the last, is an empty one.
constexpr auto texts(const char* good) {
  return std::to_array<const char*>(
      {good, "= nothing", "hiden = 3", "name = 3", "\xff\xfe", nullptr});
}
constexpr auto paths(const char* good) {
  return std::to_array<const char*>({good, nullptr, "", "/nowhere/at/all", "/"});
}

/// A small live object of every kind, and dead and foreign handles.
class World {
 public:
  static constexpr std::size_t kN = 3;

  World() {
    EXPECT_OK(l2o_optimizee_create(context_.get(), "name = \"simple\"\ndimension = 3\n", 2, nullptr,
                                   optimizee_.out()));
    EXPECT_OK(l2o_trainer_create(context_.get(), kTraining, optimizee_.get(), trainer_.out()));
    EXPECT_OK(l2o_optimizer_save(optimizer_.get(), model_.c_str()));
    EXPECT_OK(l2o_trainer_save(trainer_.get(), checkpoint_.c_str()));
    const Optimizer rule = make_lstm_optimizer({.layers = 1, .hidden = 2}, OutputInit::kZero, 1);
    save_model(model_of_two_rules_, Model{{{{"conv", {"conv*"}}, rule}, {{"rest", {"*"}}, rule}}});
    const Owned<l2o_optimizer> gone = test::optimizer("hidden = 2\n");
    dead_ = gone.get();
  }

  l2o_context* context(Choice choice) const { return handle(context_.get(), choice); }
  l2o_optimizer* optimizer(Choice choice) const { return handle(optimizer_.get(), choice); }
  l2o_run* run(Choice choice) const { return handle(run_.get(), choice); }
  l2o_optimizee* optimizee(Choice choice) const { return handle(optimizee_.get(), choice); }
  l2o_trainer* trainer(Choice choice) const { return handle(trainer_.get(), choice); }
  static constexpr Choice kHandles = 5;

  /// Zeros, more than any good call reads.
  const float* floats(Choice choice) const { return choice == 0 ? floats_.data() : nullptr; }
  /// Memory for results and parameters, more than any good call writes.
  float* more_floats(Choice choice) { return choice == 0 ? more_floats_.data() : nullptr; }
  static constexpr Choice kNull = 1, kPointers = 2;

  /// Arrays of one pointer.
  const float* const* gradients(Choice choice) {
    one_gradient_ = choice == 2 ? nullptr : floats_.data();
    return choice == 1 ? nullptr : &one_gradient_;
  }
  float* const* parameters(Choice choice) {
    one_parameter_ = choice == 2 ? nullptr : more_floats_.data();
    return choice == 1 ? nullptr : &one_parameter_;
  }
  static constexpr Choice kArrays = 3;

  /// A tensor of kN parameters.
  l2o_tensor tensor(Choice choice) {
    l2o_tensor tensor = {kN, floats_.data(), more_floats_.data(), state_};
    if (choice == 1) tensor.n = SIZE_MAX;
    if (choice == 2) tensor.gradient = nullptr;
    if (choice == 3) tensor.parameters = nullptr;
    if (choice == 4) tensor.state = nullptr;
    if (choice == 5) tensor.state = state_ + 1;
    if (choice == 6) tensor.gradient = more_floats_.data() + 1;
    return tensor;
  }
  static constexpr Choice kTensors = 7;

  static std::size_t count(std::size_t expected, Choice choice) {
    return counts(expected).at(choice);
  }
  static constexpr Choice kCounts = counts(1).size();
  static std::size_t size(std::size_t good, Choice choice) { return sizes(good).at(choice); }
  static constexpr Choice kSizes = sizes(1).size(), kZeroSize = kSizes - 1;
  /// Without 0, for functions that then ignore other arguments.
  static constexpr Choice kPositiveSizes = kZeroSize;

  static const char* text(const char* good, Choice choice) { return texts(good).at(choice); }
  static constexpr Choice kTexts = texts("").size(), kNullText = kTexts - 1;
  static const char* path(const std::string& good, Choice choice) {
    return paths(good.c_str()).at(choice);
  }
  static constexpr Choice kPaths = paths("").size();

  const std::string& model() const { return model_; }
  const std::string& model_of_two_rules() const { return model_of_two_rules_; }
  const std::string& checkpoint() const { return checkpoint_; }
  static constexpr const char* kTraining =
      "[optimizer]\nlayers = 1\nhidden = 2\n[train]\nsteps = 2\nunroll_length = 1\n";

 private:
  /// The handle itself, NULL, a destroyed one (of an optimizer), one of another kind, one that
  /// never existed.
  template <class Handle>
  Handle* handle(Handle* good, Choice choice) const {
    const void* const other_kind = static_cast<const void*>(good) == context_.get()
                                       ? static_cast<const void*>(run_.get())
                                       : static_cast<const void*>(context_.get());
    const auto all = std::to_array<const void*>({good, nullptr, dead_, other_kind, this});
    static_assert(all.size() == kHandles);
    return static_cast<Handle*>(const_cast<void*>(all.at(choice)));
  }

  TemporaryDirectory directory_;
  std::string model_ = directory_.file("model"), checkpoint_ = directory_.file("checkpoint");
  std::string model_of_two_rules_ = directory_.file("two_rules");
  Owned<l2o_context> context_ = cpu_context(1);
  Owned<l2o_optimizer> optimizer_ = test::optimizer("layers = 1\nhidden = 2\n");
  Owned<l2o_run> run_ = test::run(context_, optimizer_, kN);
  Owned<l2o_optimizee> optimizee_;
  Owned<l2o_trainer> trainer_;
  const void* dead_ = nullptr;
  std::vector<float> floats_ = std::vector<float>(4096, 0.0F);
  std::vector<float> more_floats_ = std::vector<float>(4096, 0.0F);
  alignas(64) float state_[4096] = {};  // zeros before the first step
  const float* one_gradient_ = nullptr;
  float* one_parameter_ = nullptr;
};

/// One function of l2o.h: the number of choices of each argument, and the call.
struct Function {
  std::string name;
  std::vector<Choice> arguments;
  std::function<l2o_status(World&, const std::vector<Choice>&)> call;
  /// Arguments and choices that are allowed nevertheless.
  std::vector<std::pair<std::size_t, Choice>> lenient = {};
};

/// Every function of l2o.h that returns a status, or a size that is 0 on failure.
std::vector<Function> functions();

}  // namespace l2o::test
