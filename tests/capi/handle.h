// Owning handles, and the objects used by the tests.
#pragma once

#include <gtest/gtest.h>
#include <l2o/l2o.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace l2o::test {

inline void destroy(l2o_context* handle) { l2o_context_destroy(handle); }
inline void destroy(l2o_optimizer* handle) { l2o_optimizer_destroy(handle); }
inline void destroy(l2o_run* handle) { l2o_run_destroy(handle); }
inline void destroy(l2o_optimizee* handle) { l2o_optimizee_destroy(handle); }
inline void destroy(l2o_trainer* handle) { l2o_trainer_destroy(handle); }

template <class Handle>
class Owned {
 public:
  Owned() = default;
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() { destroy(handle_); }

  Handle* get() const { return handle_; }
  Handle** out() { return &handle_; }

 private:
  Handle* handle_ = nullptr;
};

#define EXPECT_OK(call) EXPECT_EQ(call, L2O_OK) << l2o_last_error_message()
#define ASSERT_OK(call) ASSERT_EQ(call, L2O_OK) << l2o_last_error_message()

/// Expects that the call failed with that status and a message that contains `part`.
inline void expect_refused(l2o_status actual, l2o_status expected, const std::string& part) {
  EXPECT_EQ(actual, expected) << l2o_last_error_message();
  EXPECT_NE(std::string(l2o_last_error_message()).find(part), std::string::npos)
      << '"' << part << "\" is not in: " << l2o_last_error_message();
}

/// `choose` changes the default options.
template <class Choose>
Owned<l2o_context> context(const Choose& choose) {
  l2o_context_options options;
  l2o_context_options_init(&options);
  choose(options);
  Owned<l2o_context> made;
  EXPECT_OK(l2o_context_create(&options, made.out()));
  return made;
}

inline Owned<l2o_context> cpu_context(int threads = 2) {
  return context([&](l2o_context_options& options) {
    options.backend = L2O_BACKEND_CPU;
    options.threads = threads;
  });
}

/// An untrained rule whose output is not zero.
inline const std::string kSmallRule =
    "hidden = 5\nlayers = 2\noutput_init = \"truncated_normal\"\n";

inline Owned<l2o_optimizer> optimizer(const std::string& config = kSmallRule) {
  Owned<l2o_optimizer> made;
  EXPECT_OK(l2o_optimizer_create(config.c_str(), made.out()));
  return made;
}

inline Owned<l2o_run> run(const Owned<l2o_context>& context, const Owned<l2o_optimizer>& optimizer,
                          std::size_t n) {
  Owned<l2o_run> made;
  EXPECT_OK(l2o_run_create(context.get(), optimizer.get(), n, made.out()));
  return made;
}

inline std::vector<float> meta_parameters(const Owned<l2o_optimizer>& optimizer) {
  std::vector<float> values(l2o_optimizer_meta_parameter_count(optimizer.get()));
  EXPECT_OK(l2o_optimizer_get_meta_parameters(optimizer.get(), values.data(), values.size()));
  return values;
}

inline std::vector<float> state(const Owned<l2o_run>& run) {
  std::vector<float> values(l2o_run_state_size(run.get()));
  EXPECT_OK(l2o_run_get_state(run.get(), values.data(), values.size()));
  return values;
}

}  // namespace l2o::test
