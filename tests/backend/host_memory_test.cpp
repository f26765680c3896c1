#include "host/backend/host_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(HostMemory, RejectsAllocationsBeyondTheLimit) {
  HostMemory memory(64 * kMiB);
  void* first = memory.allocate(40 * kMiB);
  const ThrownError error = error_of([&] { memory.allocate(30 * kMiB); });
  EXPECT_EQ(error.status, Status::kOutOfMemory);
  EXPECT_TRUE(error.says(std::to_string(30 * kMiB) + " bytes requested")) << error.message;
  EXPECT_TRUE(error.says(std::to_string(64 * kMiB))) << error.message;

  // The rejected request allocated nothing, and released memory is available again.
  void* second = memory.allocate(20 * kMiB);
  memory.release(first);
  for (int i = 0; i < 100; ++i) memory.release(memory.allocate(30 * kMiB));
  memory.release(second);
  memory.release(memory.allocate(60 * kMiB));
}

TEST(HostMemory, WithoutALimitRejectsSizesBeyondTheAddressSpace) {
  HostMemory memory(0);
  const ThrownError error =
      error_of([&] { memory.allocate(std::numeric_limits<std::size_t>::max()); });
  EXPECT_EQ(error.status, Status::kOutOfMemory);
}

TEST(ControlGroupLimit, IsTheLowestAmongAncestors) {
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  const TemporaryDirectory root;
  std::filesystem::create_directories(root.file("outer/inner"));
  const std::string membership =
      root.write("cgroup", std::string("4:memory:/a\n0::/outer/inner\n"));
  EXPECT_EQ(control_group_limit(root.path(), membership), kNone);
  root.write("outer/inner/memory.max", std::string("max\n"));
  EXPECT_EQ(control_group_limit(root.path(), membership), kNone);
  root.write("outer/memory.max", std::string("1000\n"));
  EXPECT_EQ(control_group_limit(root.path(), membership), 1000U);
  root.write("outer/inner/memory.max", std::string("2000\n"));
  EXPECT_EQ(control_group_limit(root.path(), membership), 1000U);
  // In a container the process sees its own group as the root.
  root.write("memory.max", std::string("500\n"));
  EXPECT_EQ(control_group_limit(root.path(), root.write("cgroup", std::string("0::/\n"))), 500U);
  EXPECT_EQ(control_group_limit(root.path(), root.file("no such file")), 500U);
}

TEST(UsableMemory, IsKnownHere) { EXPECT_GT(usable_memory(), 0U); }

}  // namespace
}  // namespace l2o
