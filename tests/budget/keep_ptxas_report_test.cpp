// cmake/keep_ptxas_report.sh, with a script in place of nvcc.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/files.h"
#include "tests/support/run_process.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

const std::string kReport =
    "ptxas info    : Compiling entry function 'kernel' for 'sm_90'\n"
    "    0 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads\n"
    "ptxas info    : Used 32 registers\n";

class KeepPtxasReport : public testing::Test {
 protected:
  /// Runs a compiler that prints the report within other messages.
  ProcessResult run(const std::vector<std::string>& arguments, int exit_code = 0) const {
    const std::string compiler = directory_.write(
        "compiler", "echo printed; echo first >&2\nprintf \"" + kReport +
                        "\" >&2; echo last >&2\nexit " + std::to_string(exit_code) + "\n");
    std::vector<std::string> command = {"/bin/sh", L2O_SOURCE_DIR "/cmake/keep_ptxas_report.sh",
                                        "/bin/sh", compiler};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run_process(command);
  }

  const TemporaryDirectory directory_;
  const std::string object_ = directory_.file("kernel.cu.o");
};

TEST_F(KeepPtxasReport, PassesTheRestOn) {
  directory_.write("kernel.cu.o.ptxas", std::string("an earlier report"));
  for (const int exit_code : {0, 3}) {
    const ProcessResult result = run({"-c", "kernel.cu", "-o", object_}, exit_code);
    EXPECT_EQ(result.exit_code, exit_code);
    EXPECT_EQ(result.out, "printed\n");
    EXPECT_EQ(result.err, "first\nlast\n");
    EXPECT_EQ(test::contents(object_ + ".ptxas"), kReport);
    EXPECT_FALSE(std::filesystem::exists(object_ + ".all"));
  }
}

TEST_F(KeepPtxasReport, FailsIfTheReportCannotBeWritten) {
  std::filesystem::create_symlink("/dev/full", object_ + ".ptxas");
  EXPECT_NE(run({"-o", object_}).exit_code, 0);
  std::filesystem::remove(object_ + ".ptxas");
  std::filesystem::create_directory(object_ + ".ptxas");
  EXPECT_NE(run({"-o", object_}).exit_code, 0);
}

TEST_F(KeepPtxasReport, WithoutAnObjectOnlyRunsTheCompiler) {
  const ProcessResult result = run({"--version"}, 3);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.err, "first\n" + kReport + "last\n");
  EXPECT_FALSE(std::filesystem::exists(".ptxas"));
}

}  // namespace
}  // namespace l2o
