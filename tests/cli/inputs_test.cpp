// What the program reads: through pipes, of another kind than expected, named in unusual ways.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include "tests/cli/program.h"
#include "tests/support/files.h"

namespace l2o {
namespace {

class Inputs : public testing::Test {
 protected:
  /// Runs a shell script in which $l2o, $model, $config and $out are the paths.
  ProcessResult shell(const std::string& script) const {
    return run_process({"/bin/sh", "-c", script},
                       {.environment = {{"l2o", L2O_PROGRAM},
                                        {"model", model_},
                                        {"config", config_},
                                        {"out", directory_.file("out")}}});
  }

  const TemporaryDirectory directory_;
  const std::string model_ = write_model(directory_);
  const std::string config_ = directory_.write("small.toml", kSmallConfig);
};

TEST_F(Inputs, ModelsMayComeThroughPipes) {
  const ProcessResult info = shell("cat \"$model\" | \"$l2o\" info /dev/stdin");
  EXPECT_EQ(info.exit_code, 0) << info.err;
  EXPECT_EQ(info.out, l2o_with({"info", model_}).out);
  // If the program does not open the pipe, the writer must neither wait for ever nor hold our ends
  // of stdout and stderr open.
  const ProcessResult fifo = shell(
      "mkfifo \"$out\"; timeout 60 sh -c 'cat \"$model\" > \"$out\"' > /dev/null 2>&1 & "
      "\"$l2o\" info \"$out\"");
  EXPECT_EQ(fifo.out, info.out) << fifo.err;
  const ProcessResult eval = shell(
      "cat \"$model\" | \"$l2o\" eval /dev/stdin --task \"$config\" --steps 2 --runs 1 "
      "--baselines sgd@1e-3");
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
  // More than kMaxModelBytes.
  expect_failure(shell("head -c 9000000 /dev/zero 2>/dev/null | \"$l2o\" info /dev/stdin"), 65,
                 "expected at most");
}

TEST_F(Inputs, ConfigurationsMayComeFromStdin) {
  const ProcessResult train = shell("\"$l2o\" train - --out \"$out\" < \"$config\"");
  EXPECT_EQ(train.exit_code, 0) << train.err;
  const ProcessResult piped = shell("cat \"$config\" | \"$l2o\" train - --out \"$out-piped\"");
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(test::contents(directory_.file("out/best.safetensors")),
            test::contents(directory_.file("out-piped/best.safetensors")));
  const ProcessResult task = shell("cat \"$config\" | \"$l2o\" task -");
  EXPECT_EQ(task.exit_code, 0) << task.err;
  const ProcessResult eval = shell(
      "cat \"$config\" | \"$l2o\" eval \"$model\" --task - --steps 2 --runs 1 --baselines "
      "sgd@1e-3");
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
}

TEST_F(Inputs, ATableInCapitalsIsNamed) {
  const std::string capitals = directory_.write(
      "capitals.toml", std::string("seed = 1\n[Task]\nname = \"quadratic\"\ndimension = 3\n"));
  const std::string part = "capitals.toml:2:1: unknown table [Task]; expected [task]";
  expect_failure(l2o_with({"train", capitals, "--out", directory_.file("run")}), 2, part);
  expect_failure(l2o_with({"task", capitals}), 2, part);
  expect_failure(l2o_with({"eval", model_, "--task", capitals}), 2, part);
  expect_failure(l2o_with({"eval", model_, "--suite", capitals}), 2, part);
}

TEST_F(Inputs, AFileThatIsNotAModelIsNamed) {
  const std::string zip = directory_.write("x.pt", "PK\x03\x04" + std::string(60, '\0'));
  const std::string lfs = directory_.write(
      "lfs.safetensors",
      std::string("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"));
  for (const auto& [path, part] :
       {std::pair<std::string, std::string>{zip, "x.pt is a zip archive"},
        {lfs, "`git lfs pull`"}}) {
    expect_failure(l2o_with({"info", path}), 65, part);
    expect_failure(l2o_with({"eval", path, "--task", "quadratic"}), 65, part);
    expect_failure(l2o_with({"rescale", path, "--by", "2", "--out", directory_.file("m")}), 65,
                   part);
    expect_failure(l2o_with({"train", config_, "--out", directory_.file("run"), "--from", path}),
                   65, part);
  }
  expect_failure(l2o_with({"import", zip, "--out", directory_.file("m")}), 65, "a zip archive");
  expect_failure(l2o_with({"import", lfs, "--out", directory_.file("m")}), 65, "`git lfs pull`");
}

TEST_F(Inputs, ModelsInConfigurationsMayBeInTheHomeDirectory) {
  const ProcessResult result =
      run_process({L2O_PROGRAM, "train", config_, "--out", directory_.file("run"), "--set",
                   "train.from=\"~/model.safetensors\""},
                  {.environment = {{"HOME", directory_.path()}}});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(Inputs, DataIsARegularFile) {
  const std::string pipe = directory_.file("pipe.safetensors");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const std::string config = directory_.write(
      "network.toml",
      "[task]\nname = \"network\"\nlayers = [\"dense 2\", \"relu\"]\ndata = \"" + pipe + "\"\n");
  expect_failure(l2o_with({"train", config, "--out", directory_.file("run")}), 74,
                 pipe + ": not a regular file");
  expect_failure(l2o_with({"eval", model_, "--task", config}), 74, pipe + ": not a regular file");
}

TEST_F(Inputs, ASignalEndsARunThatWaitsForItsInput) {
  const std::string pipe = directory_.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  Process process({L2O_PROGRAM, "train", config_, "--out", directory_.file("run"), "--from", pipe});
  int writer = -1;  // can only be opened once there is a reader
  while ((writer = open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
    ASSERT_EQ(errno, ENXIO);
    if (!process.is_running()) FAIL() << process.finish().err;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  process.send(SIGTERM);
  EXPECT_EQ(process.finish().signal, SIGTERM);
  close(writer);
}

TEST_F(Inputs, AZeroByteDoesNotEndAPath) {
  expect_failure(l2o_with({"train", config_, "--out", directory_.file("run"), "--set",
                           "train.from=\"" + model_ + "\\u0000x\""}),
                 2, "train.from");
}

}  // namespace
}  // namespace l2o
