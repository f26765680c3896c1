#include "host/core/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "host/core/error.h"

namespace l2o {
namespace {

[[noreturn]] void throw_system_error(const char* action, const std::string& path, int error) {
  throw Error(Status::kInputOutput, fmt::format("cannot {} {}: {}", action, path,
                                                std::generic_category().message(error)));
}

/// An open file descriptor.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  int get() const { return descriptor_; }
  /// Closes now, since close() is where some file systems report a failed write.
  int close() {
    const int result = ::close(descriptor_);
    descriptor_ = -1;
    return result;
  }

 private:
  int descriptor_;
};

/// Removes a file unless told to keep it.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

void write_all(const File& file, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_system_error("write", path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync_directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? std::string(".") : parent.string();
  const File file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) throw_system_error("open the directory", directory, errno);
  if (::fsync(file.get()) != 0) throw_system_error("sync the directory", directory, errno);
}

}  // namespace

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  // A fixed name: what a killed writer left behind is overwritten by the next one.
  const std::string temporary_path = path + ".tmp";
  File file(::open(temporary_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw_system_error("create", temporary_path, errno);
  TemporaryFile temporary(temporary_path);
  write_all(file, bytes, path);
  if (::fsync(file.get()) != 0) throw_system_error("write", path, errno);
  if (file.close() != 0) throw_system_error("write", path, errno);
  if (std::rename(temporary_path.c_str(), path.c_str()) != 0) {
    throw_system_error("replace", path, errno);
  }
  temporary.keep();
  sync_directory_of(path);
}

std::vector<std::byte> read_file(const std::string& path, std::size_t max_bytes) {
  // O_NONBLOCK: opening a named pipe would wait for its writer.
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_system_error("open", path, errno);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) throw_system_error("read", path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(Status::kInputOutput, fmt::format("cannot read {}: not a regular file", path));
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > max_bytes) {
    throw Error(Status::kBadData, fmt::format("{} is {} bytes long; at most {} were expected", path,
                                              size, max_bytes));
  }
  std::vector<std::byte> bytes(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::read(file.get(), bytes.data() + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system_error("read", path, errno);
    if (got == 0) break;  // the file shrank under us; what is left is judged by its reader
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace l2o
