#include "host/core/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class AtomicFile : public testing::Test {
 protected:
  TemporaryDirectory directory;
  const std::string path = directory.file("file");

  std::string read() const {
    const std::vector<std::byte> bytes = read_file(path, 1 << 20);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// What lies in the directory.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

/// Files of this process may not grow beyond so many bytes: the disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit = {bytes, old_limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_ = {};
  void (*old_handler_)(int);
};

TEST_F(AtomicFile, WritesReplacesAndReads) {
  write_file_atomically(path, bytes_of("first"));
  EXPECT_EQ(read(), "first");
  write_file_atomically(path, bytes_of(""));
  EXPECT_EQ(read(), "");
  const std::string large(300000, 'x');
  write_file_atomically(path, bytes_of(large));
  EXPECT_EQ(read(), large);
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(AtomicFile, TakesOverWhatAKilledWriterLeft) {
  directory.write("file.tmp", std::string(100, 'x'));
  write_file_atomically(path, bytes_of("new"));
  EXPECT_EQ(read(), "new");
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(AtomicFile, AFullDiskLeavesTheOldFileAndNoOther) {
  write_file_atomically(path, bytes_of("old"));
  ThrownError error;
  {
    const FileSizeLimit limit(1000);
    error = error_of([&] { write_file_atomically(path, bytes_of(std::string(5000, 'x'))); });
  }
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("cannot write " + path)) << error.message;
  EXPECT_EQ(read(), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(AtomicFile, ADirectoryInTheWayIsAnErrorAndLeavesNothing) {
  std::filesystem::create_directory(path);
  const ThrownError error = error_of([&] { write_file_atomically(path, bytes_of("x")); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("cannot replace " + path)) << error.message;
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(AtomicFile, MissingDirectory) {
  const std::string nowhere = directory.file("missing/file");
  const ThrownError error = error_of([&] { write_file_atomically(nowhere, bytes_of("x")); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says(nowhere)) << error.message;
}

TEST_F(AtomicFile, ReadingWhatIsNoFileOrTooLong) {
  const auto refusal = [](const std::string& what) {
    return error_of([&] { read_file(what, 4); });
  };
  EXPECT_EQ(refusal(path).status, Status::kInputOutput);
  EXPECT_TRUE(refusal(path).says("cannot open " + path));
  EXPECT_TRUE(refusal(directory.path()).says("not a regular file"));
  EXPECT_TRUE(refusal("/dev/zero").says("not a regular file"));
  ASSERT_EQ(mkfifo(directory.file("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(refusal(directory.file("pipe")).says("not a regular file"));
  directory.write("file", std::string("12345"));
  EXPECT_EQ(refusal(path).status, Status::kBadData);
  EXPECT_TRUE(refusal(path).says("is 5 bytes long; at most 4")) << refusal(path).message;
  directory.write("file", std::string("1234"));
  EXPECT_EQ(read(), "1234");
}

}  // namespace
}  // namespace l2o
