#include "host/core/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "host/core/file_descriptor.h"
#include "tests/support/error_of.h"
#include "tests/support/files.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

int fsync_error = 0;  // errno with which the fsync below fails; 0: none
bool fsync_fails_for_directories_only = false;

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
  /// The names in the directory.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

/// Limits the size of this process's files, like a full disk. Counts the signals that would
/// otherwise kill it.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, count_signal)) {
    signals = 0;
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit = {bytes, old_limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    EXPECT_EQ(std::signal(SIGXFSZ, old_handler_), count_signal) << "the handler was changed";
    EXPECT_EQ(signals, 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  static void count_signal(int) { signals = signals + 1; }
  static inline volatile std::sig_atomic_t signals = 0;

  rlimit old_limit_ = {};
  void (*old_handler_)(int);
};

mode_t mode_of(const std::string& path) {
  struct stat status = {};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status.st_mode;
}

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

TEST_F(AtomicFile, TouchesNoOtherFile) {
  directory.write("file.tmp", std::string("mine"));
  std::filesystem::create_symlink("file.tmp", directory.file("file.new"));
  write_file_atomically(path, bytes_of("new"));
  EXPECT_EQ(read(), "new");
  EXPECT_EQ(names(), (std::vector<std::string>{"file", "file.new", "file.tmp"}));
  EXPECT_EQ(test::contents(directory.file("file.tmp")), "mine");
}

TEST_F(AtomicFile, ConcurrentWritersLeaveOneCompleteFile) {
  constexpr int kThreads = 4, kWrites = 50;
  std::vector<std::thread> writers;
  for (int i = 0; i < kThreads; ++i) {
    writers.emplace_back([&, i] {
      const std::string text(static_cast<std::size_t>(1000 * (i + 1)), static_cast<char>('a' + i));
      for (int write = 0; write < kWrites; ++write) {
        EXPECT_EQ(error_of([&] { write_file_atomically(path, bytes_of(text)); }).message, "");
        const std::string found = read();
        EXPECT_EQ(found, std::string(1000U * static_cast<unsigned>(found[0] - 'a' + 1), found[0]));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(AtomicFile, KeepsTheModeOfTheFile) {
  for (const mode_t mode : {0600, 0640, 0664}) {
    directory.write("file", std::string("old"));
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    write_file_atomically(path, bytes_of("new"));
    EXPECT_EQ(mode_of(path) & 0777, mode);
  }
}

TEST_F(AtomicFile, KeepsALinkAndReplacesItsTarget) {
  std::filesystem::create_directory(directory.file("deep"));
  std::filesystem::create_symlink("deep/link", path);
  std::filesystem::create_symlink("end", directory.file("deep/link"));
  for (const std::string text : {"made", "replaced"}) {
    write_file_atomically(path, bytes_of(text));
    EXPECT_TRUE(S_ISLNK(mode_of(path)));
    EXPECT_TRUE(S_ISLNK(mode_of(directory.file("deep/link"))));
    EXPECT_TRUE(S_ISREG(mode_of(directory.file("deep/end"))));
    EXPECT_EQ(test::contents(directory.file("deep/end")), text);
  }
  std::filesystem::create_symlink("circle", directory.file("circle"));
  const ThrownError error =
      error_of([&] { write_file_atomically(directory.file("circle"), bytes_of("x")); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says(directory.file("circle"))) << error.message;
}

TEST_F(AtomicFile, WritesToDevicesAndPipes) {
  std::filesystem::create_symlink("/dev/null", path);
  write_file_atomically(path, bytes_of("gone"));
  EXPECT_TRUE(S_ISCHR(mode_of("/dev/null")));
  EXPECT_TRUE(S_ISLNK(mode_of(path)));
  EXPECT_EQ(error_of([] { write_file_atomically("/dev/full", bytes_of("x")); }).status,
            Status::kInputOutput);

  const std::string pipe = directory.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::string received;
  std::thread reader([&] { received = test::contents(pipe); });
  write_file_atomically(pipe, bytes_of("through"));
  reader.join();
  EXPECT_EQ(received, "through");
  EXPECT_TRUE(S_ISFIFO(mode_of(pipe)));
}

TEST_F(AtomicFile, WritesToAnOpenFileWithoutAName) {
  directory.write("file", std::string("previous content"));
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(descriptor, 0);
  std::filesystem::remove(path);
  const std::string same = "/proc/self/fd/" + std::to_string(descriptor);
  write_file_atomically(same, bytes_of("new"));
  EXPECT_EQ(test::contents(same), "new");
  EXPECT_EQ(names(), std::vector<std::string>{});
  close(descriptor);
}

TEST_F(AtomicFile, NamesMayBeAsLongAsTheSystemAllows) {
  for (const std::size_t length : {251U, 252U, 255U}) {
    const std::string longest = directory.file(std::string(length, 'n'));
    write_file_atomically(longest, bytes_of("x"));
    EXPECT_EQ(test::contents(longest), "x");
  }
  const std::string too_long = directory.file(std::string(256, 'n'));
  EXPECT_EQ(error_of([&] { write_file_atomically(too_long, bytes_of("x")); }).status,
            Status::kInputOutput);
}

TEST_F(AtomicFile, ToleratesAFileSystemWithoutFsync) {
  for (const int unsupported : {EINVAL, ENOTSUP, ENOSYS}) {
    fsync_error = unsupported;
    EXPECT_EQ(error_of([&] { write_file_atomically(path, bytes_of("new")); }).message, "");
  }
  fsync_error = EIO;
  const ThrownError error = error_of([&] { write_file_atomically(path, bytes_of("newer")); });
  fsync_error = 0;
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_EQ(read(), "new");
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(AtomicFile, AFailedSyncOfTheDirectoryNamesTheFile) {
  fsync_error = EIO;
  fsync_fails_for_directories_only = true;
  const ThrownError error = error_of([&] { write_file_atomically(path, bytes_of("new")); });
  fsync_error = 0;
  fsync_fails_for_directories_only = false;
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("cannot write " + path + ": ")) << error.message;
  EXPECT_EQ(read(), "new");
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(AtomicFile, FollowsAsManyLinksAsLinux) {
  constexpr int kMostLinks = 40;
  const auto link = [](int number) { return "link" + std::to_string(number); };
  for (int number = 0; number <= kMostLinks; ++number) {
    const std::string target = number == 0 ? "end" : link(number - 1);
    std::filesystem::create_symlink(target, directory.file(link(number)));
  }
  EXPECT_EQ(follow_links(directory.file(link(kMostLinks - 1))), directory.file("end"));
  const ThrownError error = error_of([&] { follow_links(directory.file(link(kMostLinks))); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says(directory.file(link(kMostLinks)))) << error.message;
}

TEST(TemporaryName, IsRecognized) {
  const std::string first = temporary_name(), second = temporary_name();
  EXPECT_TRUE(is_temporary_name(first)) << first;
  EXPECT_TRUE(is_temporary_name(second)) << second;
  EXPECT_NE(first, second);
}

TEST(TemporaryName, IsOnlyOurs) {
  EXPECT_TRUE(is_temporary_name(".l2o-0123456789abcdef.tmp"));
  for (const char* name :
       {".l2o-.tmp", ".l2o-0123456789abcdeg.tmp", "checkpoint-7.bin.tmp",
        ".l2o-0123456789abcdef0.tmp", "x.l2o-0123456789abcdef.tmp", ".tmp", ""}) {
    EXPECT_FALSE(is_temporary_name(name)) << name;
  }
}

TEST(FileDescriptor, APipeWithoutReaderIsAnErrorNotASignal) {
  std::array<int, 2> ends = {};
  ASSERT_EQ(pipe(ends.data()), 0);
  close(ends[0]);
  const FileDescriptor file(ends[1], "the pipe");
  const ThrownError error = error_of([&] { file.write(bytes_of("x")); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("cannot write the pipe")) << error.message;
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

TEST_F(AtomicFile, AFullDiskLeavesOnlyTheOldFile) {
  write_file_atomically(path, bytes_of("old"));
  ThrownError error;
  {
    const FileSizeLimit limit(1000);
    error = error_of([&] { write_file_atomically(path, bytes_of(std::string(5000, 'x'))); });
  }
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("cannot write " + path + ": File too large")) << error.message;
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

TEST_F(AtomicFile, RefusesToReadMissingUnreadableAndLongFiles) {
  const auto refusal = [](const std::string& what) {
    return error_of([&] { read_file(what, 4); });
  };
  EXPECT_EQ(refusal(path).status, Status::kInputOutput);
  EXPECT_TRUE(refusal(path).says("cannot open " + path));
  EXPECT_EQ(refusal(directory.path()).status, Status::kInputOutput);
  EXPECT_TRUE(refusal(directory.path()).says("cannot read " + directory.path()));
  EXPECT_EQ(refusal("/dev/zero").status, Status::kBadData);
  EXPECT_TRUE(refusal("/dev/zero").says("more than 4 bytes long; expected at most 4"));
  directory.write("file", std::string("12345"));
  EXPECT_EQ(refusal(path).status, Status::kBadData);
  EXPECT_TRUE(refusal(path).says("is 5 bytes long; expected at most 4")) << refusal(path).message;
  directory.write("file", std::string("1234"));
  EXPECT_EQ(read(), "1234");
}

TEST_F(AtomicFile, PipesAreReadToTheirEnd) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{300000}}) {
    const std::string text(size, 'x');
    std::thread writer([&] { std::ofstream(path) << text; });
    EXPECT_EQ(read(), text) << size;
    writer.join();
  }
  std::thread writer([&] { std::ofstream(path) << "12345"; });
  const ThrownError error = error_of([&] { read_file(path, 4); });
  writer.join();
  EXPECT_EQ(error.status, Status::kBadData) << error.message;
}

TEST_F(AtomicFile, ReadsAFileWhoseLengthTheSystemDoesNotReport) {
  EXPECT_GT(read_file("/proc/self/status", 1 << 20).size(), 0U);
}

}  // namespace

/// Replaces the system's fsync, since no file system without it is available here.
extern "C" int fsync(int descriptor) {
  struct stat status = {};
  const bool fails =
      fsync_error != 0 && (!fsync_fails_for_directories_only ||
                           (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)));
  if (!fails) return static_cast<int>(syscall(SYS_fsync, descriptor));
  errno = fsync_error;
  return -1;
}

}  // namespace l2o
