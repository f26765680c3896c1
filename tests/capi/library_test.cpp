#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "host/core/error.h"
#include "tests/capi/handle.h"

namespace l2o {
namespace {

TEST(Library, ReportsItsVersion) {
  EXPECT_EQ(std::string(l2o_version()), std::to_string(L2O_VERSION_MAJOR) + "." +
                                            std::to_string(L2O_VERSION_MINOR) + "." +
                                            std::to_string(L2O_VERSION_PATCH));
}

TEST(Library, EveryStatusHasAUniqueName) {
  std::set<std::string> names;
  int known = 0;
  for (int value = -5; value < 300; ++value) {
    const std::string name = l2o_status_name(static_cast<l2o_status>(value));
    if (name == "unknown status") continue;
    ++known;
    names.insert(name);
    EXPECT_EQ(name.substr(0, 4), "L2O_");
  }
  EXPECT_EQ(known, 12);
  EXPECT_EQ(names.size(), 12U);
}

TEST(Library, StatusesMatchThoseOfTheEngine) {
  EXPECT_EQ(L2O_OK, static_cast<int>(Status::kOk));
  EXPECT_EQ(L2O_FAILURE, static_cast<int>(Status::kFailure));
  EXPECT_EQ(L2O_INVALID_ARGUMENT, static_cast<int>(Status::kUsage));
  EXPECT_EQ(L2O_BAD_DATA, static_cast<int>(Status::kBadData));
  EXPECT_EQ(L2O_DEVICE_UNAVAILABLE, static_cast<int>(Status::kDeviceUnavailable));
  EXPECT_EQ(L2O_INTERNAL, static_cast<int>(Status::kInternal));
  EXPECT_EQ(L2O_OUT_OF_MEMORY, static_cast<int>(Status::kOutOfMemory));
  EXPECT_EQ(L2O_INPUT_OUTPUT, static_cast<int>(Status::kInputOutput));
  EXPECT_EQ(L2O_DIVERGED, static_cast<int>(Status::kDiverged));
  EXPECT_EQ(L2O_BUSY, static_cast<int>(Status::kBusy));
  EXPECT_EQ(L2O_NOT_FINITE, static_cast<int>(Status::kNotFinite));
  EXPECT_EQ(L2O_INTERRUPTED, static_cast<int>(Status::kInterrupted));
}

TEST(Library, MessagesBelongToTheirThread) {
  l2o_run_reset(nullptr);
  const std::string mine = l2o_last_error_message();
  EXPECT_NE(mine, "");
  std::thread([] {
    EXPECT_EQ(std::string(l2o_last_error_message()), "");
    l2o_optimizer_load("/nowhere", nullptr);
    EXPECT_NE(std::string(l2o_last_error_message()), "");
  }).join();
  EXPECT_EQ(l2o_last_error_message(), mine);
}

TEST(Library, LongMessagesAreTruncated) {
  const std::string path(5000, 'x');
  l2o_optimizer* none = nullptr;
  EXPECT_EQ(l2o_optimizer_load(path.c_str(), &none), L2O_INPUT_OUTPUT);
  const std::string message = l2o_last_error_message();
  EXPECT_EQ(message, ("cannot open " + path).substr(0, 2047));
  test::expect_refused(l2o_run_reset(nullptr), L2O_INVALID_ARGUMENT, "NULL");
  EXPECT_LT(std::string(l2o_last_error_message()).size(), 200U)
      << "nothing of the long one is left";
}

TEST(Library, ReportsItsBackends) {
  EXPECT_EQ(l2o_backend_available(L2O_BACKEND_AUTO), 1);
  EXPECT_EQ(l2o_backend_available(L2O_BACKEND_CPU), 1);
  EXPECT_EQ(l2o_backend_available(static_cast<l2o_backend>(99)), 0);

  test::Owned<l2o_context> context;
  l2o_context_options options;
  l2o_context_options_init(&options);
  options.backend = L2O_BACKEND_CUDA;
  const l2o_status status = l2o_context_create(&options, context.out());
  EXPECT_EQ(status, l2o_backend_available(L2O_BACKEND_CUDA) == 1 ? L2O_OK : L2O_DEVICE_UNAVAILABLE);
}

TEST(Context, DefaultsNeedNoOptions) {
  test::Owned<l2o_context> context;
  ASSERT_OK(l2o_context_create(nullptr, context.out()));
  EXPECT_OK(l2o_context_synchronize(context.get()));
}

TEST(Context, RefusesUninitializedOptions) {
  l2o_context_options options = {};
  test::Owned<l2o_context> context;
  test::expect_refused(l2o_context_create(&options, context.out()), L2O_INVALID_ARGUMENT,
                       "l2o_context_options_init");
}

TEST(Context, RefusesValuesOutOfRange) {
  const auto refuse = [](auto change, const std::string& part) {
    l2o_context_options options;
    l2o_context_options_init(&options);
    change(options);
    test::Owned<l2o_context> context;
    test::expect_refused(l2o_context_create(&options, context.out()), L2O_INVALID_ARGUMENT, part);
    EXPECT_EQ(context.get(), nullptr);
  };
  refuse([](auto& options) { options.threads = -1; }, "threads");
  refuse([](auto& options) { options.threads = 1 << 30; }, "threads");
  refuse([](auto& options) { options.device = -1; }, "device");
  refuse([](auto& options) { options.backend = static_cast<l2o_backend>(7); }, "backend");
}

}  // namespace
}  // namespace l2o
