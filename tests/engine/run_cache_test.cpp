// The cache of runs.
#include "host/engine/run_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/files.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

using test::contents;

class Cache : public testing::Test {
 protected:
  const TemporaryDirectory directory_;
  std::vector<std::string> notices_;
  RunCache cache_{directory_.file("a/b"),
                  [this](const std::string& line) { notices_.push_back(line); }};
  const RunResult result_{.final_losses = {0.1, std::nan(""), 3e-300}, .curve = {1.0, 2.0}};
};

TEST_F(Cache, ReturnsTheSameBits) {
  EXPECT_FALSE(cache_.find("key"));
  cache_.store("key", result_);
  const auto found = cache_.find("key");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->final_losses[0], 0.1);
  EXPECT_TRUE(std::isnan(found->final_losses[1]));
  EXPECT_EQ(found->final_losses[2], 3e-300);
  EXPECT_EQ(found->curve, result_.curve);
  EXPECT_FALSE(cache_.find("another key"));
  EXPECT_TRUE(notices_.empty());
}

TEST_F(Cache, DamagedEntriesAreMisses) {
  cache_.store("key", result_);
  const std::string path = cache_.path_of("key");
  const std::string whole = contents(path);
  std::string digit = whole, other_key = whole;
  digit.replace(digit.find("0.1"), 3, "0.2");
  other_key.replace(other_key.find("key\":\"key"), 9, "key\":\"kex");
  for (const std::string& damaged :
       {std::string(), std::string("{}"), std::string("[1]"), whole.substr(0, whole.size() / 2),
        digit, other_key, std::string("null"), std::string(1000, '[')}) {
    test::write_contents(path, damaged);
    notices_.clear();
    EXPECT_FALSE(cache_.find("key")) << damaged;
    ASSERT_EQ(notices_.size(), 1U) << damaged;
    EXPECT_NE(notices_[0].find("damaged"), std::string::npos) << notices_[0];
  }
  cache_.store("key", result_);
  EXPECT_TRUE(cache_.find("key")) << "and can be written again";
}

TEST_F(Cache, UnwritableEntryIsANotice) {
  std::filesystem::create_directories(cache_.path_of("key"));
  cache_.store("key", result_);
  EXPECT_EQ(notices_.size(), 1U);
}

TEST_F(Cache, UncreatableDirectoryIsAnError) {
  const std::string file = directory_.write("file", std::string("x"));
  for (const std::string& path : {file, file + "/below"}) {
    expect_error(Status::kInputOutput, {path}, [&] { RunCache(path, {}); });
  }
}

TEST_F(Cache, NothingIsKeptWithoutADirectory) {
  RunCache none("", {});
  none.store("key", result_);
  EXPECT_FALSE(none.find("key"));
}

}  // namespace
}  // namespace l2o
