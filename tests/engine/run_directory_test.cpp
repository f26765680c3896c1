#include "host/engine/run_directory.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "tests/engine/small_run.h"
#include "tests/support/error_of.h"

namespace l2o {
namespace {

using test::SmallRun;
using Mode = RunDirectory::Mode;

int flock_error = 0;  // errno that flock() below fails with; 0: none

TEST(RunDirectory, OfEarlierRunIsKeptUnlessOverwritten) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.train();
  const auto bytes = test::run_bytes(run.directory);
  expect_error(Status::kUsage, {run.directory, "--resume", "--overwrite"}, [&] { run.train(); });
  EXPECT_EQ(test::run_bytes(run.directory), bytes);

  // Another configuration gives other bytes, and nothing of the earlier run is left.
  test::write_contents(run.directory + "/notes.txt", "mine");
  run.overwrite = true;
  run.overrides = {"seed=6", "train.episodes=6"};
  run.train();
  SmallRun fresh{root.file("fresh")};
  fresh.overrides = run.overrides;
  fresh.train();
  EXPECT_EQ(test::run_bytes(run.directory), test::run_bytes(fresh.directory));
  EXPECT_EQ(test::checkpoint_files(run.directory), test::checkpoint_files(fresh.directory));
  EXPECT_EQ(test::contents(run.directory + "/notes.txt"), "mine");
}

TEST(RunDirectory, IsUnchangedByRunThatCannotStart) {
  const TemporaryDirectory root;
  // The tasks fit into memory; the gradient trace of 1e12 numbers does not.
  const std::vector<std::string> too_large = {"train.tasks=1000000", "task.functions=1",
                                              "task.dimension=1", "train.steps=1000000",
                                              "train.unroll_length=1000000"};
  SmallRun fresh{root.file("fresh")};
  fresh.overrides = too_large;
  expect_error(Status::kOutOfMemory, {}, [&] { fresh.train(); });
  fresh.overrides = {};
  fresh.train();  // into the same directory, without --overwrite

  const auto bytes = test::run_bytes(fresh.directory);
  fresh.overwrite = true;
  fresh.overrides = too_large;
  expect_error(Status::kOutOfMemory, {}, [&] { fresh.train(); });
  EXPECT_EQ(test::run_bytes(fresh.directory), bytes);
}

TEST(RunDirectory, KeepsTheEarlierRunIfItsConfigurationCannotBeReplaced) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.train();
  const auto bytes = test::run_bytes(run.directory);
  std::filesystem::remove(run.directory + "/config.toml");
  std::filesystem::create_directory(run.directory + "/config.toml");
  run.overwrite = true;
  expect_error(Status::kInputOutput, {"config.toml"}, [&] { run.train(); });
  EXPECT_EQ(test::run_bytes(run.directory), bytes);
}

TEST(RunDirectory, ReadsAConfigurationWithOtherLineEnds) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.train();
  const std::string path = run.directory + "/config.toml";
  std::string text;
  for (const char c : test::contents(path)) text += c == '\n' ? "\r\n" : std::string(1, c);
  test::write_contents(path, text);
  run.resume = true;
  run.train();
}

TEST(RunDirectory, InaccessibleIsNotEmpty) {
  const TemporaryDirectory root;
  const std::string too_long = root.file(std::string(300, 'x'));
  expect_error(Status::kInputOutput, {too_long},
               [&] { RunDirectory(too_long, "seed = 1\n", Mode::kResume); });
}

TEST(RunDirectory, RejectsSecondWriter) {
  const TemporaryDirectory root;
  SmallRun second{root.file("run")};
  second.overwrite = true;
  SmallRun first{root.file("run")};
  int refused = 0;
  first.progress = [&](const TrainProgress&) {
    if (refused++ > 0) return;
    expect_error(Status::kUsage, {"another process", second.directory}, [&] { second.train(); });
  };
  first.train();
  EXPECT_GT(refused, 0);
  second.train();  // after the first has finished
}

TEST(RunDirectory, ReportsWhyItCannotBeCreated) {
  const TemporaryDirectory root;
  root.write("file", "");
  expect_error(Status::kInputOutput, {root.file("file/run")},
               [&] { RunDirectory(root.file("file/run"), "seed = 1\n", Mode::kNew); });
}

TEST(RunDirectory, DoesNotAdoptForeignModel) {
  const TemporaryDirectory root;
  std::filesystem::create_directory(root.file("run"));
  root.write("run/best.safetensors", "someone else's");
  expect_error(Status::kUsage, {"--overwrite"},
               [&] { RunDirectory(root.file("run"), "seed = 1\n", Mode::kNew); });
  EXPECT_EQ(test::contents(root.file("run/best.safetensors")), "someone else's");
}

TEST(RunDirectory, KeepsTwoNewestCheckpoints) {
  const TemporaryDirectory root;
  RunDirectory directory(root.file("run"), "seed = 1\n", Mode::kNew);
  directory.begin();
  TrainingCheckpoint checkpoint;
  for (const std::int64_t unrolls : {8, 9, 10, 11, 100}) {  // numbers, not names, are compared
    checkpoint.position.unrolls_done = unrolls;
    directory.save_checkpoint(checkpoint);
  }
  EXPECT_EQ(test::checkpoint_files(root.file("run")),
            (std::vector<std::string>{"checkpoint-100.bin", "checkpoint-11.bin"}));
  EXPECT_EQ(directory.load_checkpoint(4096)->position.unrolls_done, 100);
}

TEST(RunDirectory, RemovesOnlyTemporaryFilesOfKilledWriters) {
  const TemporaryDirectory root;
  { RunDirectory(root.file("run"), "seed = 1\n", Mode::kNew).begin(); }
  root.write("run/.l2o-0123456789abcdef.tmp", "half of");
  root.write("run/checkpoint-7.bin.tmp", "someone else's");
  root.write("run/.l2o-notes.tmp", "someone else's");
  RunDirectory(root.file("run"), "seed = 1\n", Mode::kResume).begin();
  EXPECT_FALSE(std::filesystem::exists(root.file("run/.l2o-0123456789abcdef.tmp")));
  EXPECT_TRUE(std::filesystem::exists(root.file("run/checkpoint-7.bin.tmp")));
  EXPECT_TRUE(std::filesystem::exists(root.file("run/.l2o-notes.tmp")));
}

TEST(RunDirectory, WithoutLocksWarnsAndTrains) {
  for (const int unsupported : {ENOLCK, ENOTSUP, ENOSYS}) {
    const TemporaryDirectory root;
    SmallRun run{root.file("run")};
    std::vector<std::string> notices;
    run.notices = &notices;
    flock_error = unsupported;
    const ThrownError error = error_of([&] { run.train(); });
    flock_error = 0;
    EXPECT_EQ(error.message, "");
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_NE(notices[0].find(run.directory), std::string::npos) << notices[0];
    EXPECT_NE(notices[0].find("no other process"), std::string::npos) << notices[0];
  }
  const TemporaryDirectory root;
  flock_error = EIO;
  expect_error(Status::kInputOutput, {root.file("run/lock")},
               [&] { RunDirectory(root.file("run"), "seed = 1\n", Mode::kNew); });
  flock_error = 0;
}

TEST(RunDirectory, RejectsCheckpointOfOtherConfiguration) {
  const TemporaryDirectory root;
  {
    RunDirectory directory(root.file("a"), "seed = 1\n", Mode::kNew);
    directory.begin();
    directory.save_checkpoint({});
  }
  RunDirectory other(root.file("b"), "seed = 2\n", Mode::kNew);
  std::filesystem::copy(root.file("a/checkpoint-0.bin"), root.file("b/checkpoint-0.bin"));
  expect_error(Status::kBadData, {"checkpoint-0.bin", "another configuration"},
               [&] { other.load_checkpoint(4096); });
}

TEST(RunDirectory, RejectsOversizedCheckpoint) {
  const TemporaryDirectory root;
  RunDirectory directory(root.file("run"), "seed = 1\n", Mode::kNew);
  // A sparse file of a terabyte needs no disk space and must not need memory.
  root.write("run/checkpoint-1.bin", "L2OTRAIN");
  std::filesystem::resize_file(root.file("run/checkpoint-1.bin"), std::uintmax_t{1} << 40);
  expect_error(Status::kBadData, {"checkpoint-1.bin"}, [&] { directory.load_checkpoint(1 << 20); });
}

}  // namespace

/// Replaces the system's flock() to simulate file systems without locks.
extern "C" int flock(int descriptor, int operation) noexcept {
  if (flock_error == 0) return static_cast<int>(syscall(SYS_flock, descriptor, operation));
  errno = flock_error;
  return -1;
}

}  // namespace l2o
