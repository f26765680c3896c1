#include <gtest/gtest.h>

#include "tests/optimizee/batch.h"
#include "tests/support/error_of.h"

namespace l2o {
namespace {

TEST(Registry, InvalidOptionsAreUsageErrors) {
  const struct {
    const char* options;
    const char* says;
  } cases[] = {
      {"", "known names: simple, quadratic"},
      {"name = 'quadratik'", "quadratik"},
      {"name = 'quadratic'\nfunctons = 3", "functions"},
      {"name = 'quadratic'\ndimension = 0", "dimension"},
      {"name = 'quadratic'\ndistribution = 'normal'", "gaussian"},
      {"name = 'simple'\nfunctions = 3", "functions"},
  };
  for (const auto& each : cases) {
    const ThrownError error = error_of([&] { Batch(each.options, "", 1, {}); });
    EXPECT_EQ(error.status, Status::kUsage) << each.options;
    EXPECT_TRUE(error.says(each.says)) << error.message;
  }
  EXPECT_EQ(error_of([] { Batch("name = 'simple'", "", 0, {}); }).status, Status::kUsage);
}

TEST(Registry, ExcessiveSizeIsOutOfMemory) {
  const std::string text = "name = 'quadratic'\nfunctions = 1048576\ndimension = 4096";
  for (const int tasks : {1, 1 << 30}) {
    EXPECT_EQ(error_of([&] { Batch(text, "", tasks, {}); }).status, Status::kOutOfMemory);
  }
}

}  // namespace
}  // namespace l2o
