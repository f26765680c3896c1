// Helpers of the tests of the program.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "tests/cli/program.h"

namespace l2o {
namespace {

TEST(ExpectFailure, NamesTheCallThatFailed) {
  ProcessResult result;
  result.exit_code = 2;
  result.err = "l2o: wrong\n";
  expect_failure(result, 2, "wrong");
  EXPECT_NONFATAL_FAILURE(expect_failure(result, 74, "wrong"), "program_test.cpp");
}

}  // namespace
}  // namespace l2o
