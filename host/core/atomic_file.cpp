#include "host/core/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>

#include "host/core/error.h"
#include "host/core/file_descriptor.h"

namespace l2o {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryPrefix = ".l2o-";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr std::size_t kTemporaryDigits = 16;

/// A file in `directory` that no one else uses; removed unless it is renamed.
class TemporaryFile {
 public:
  /// Error messages call it `name`.
  TemporaryFile(const fs::path& directory, const std::string& name, mode_t mode) {
    int descriptor = -1;
    do {
      path_ = (directory / temporary_name()).string();
      descriptor =
          ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    } while (descriptor < 0 && errno == EEXIST);
    if (descriptor < 0) throw system_error("write", name, errno);
    file_ = FileDescriptor(descriptor, name);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  FileDescriptor& file() { return file_; }
  /// Returns whether it succeeded; otherwise errno is set.
  bool rename_to(const std::string& path) {
    if (std::rename(path_.c_str(), path.c_str()) != 0) return false;
    path_.clear();
    return true;
  }

 private:
  std::string path_;
  FileDescriptor file_;
};

/// As far as the system allows: some file systems have no owners or modes, and only root can change
/// the owner. Permissions of one group are not passed on to another.
void take_owner_and_mode(const FileDescriptor& file, const struct stat& from) {
  constexpr uid_t kSameOwner = static_cast<uid_t>(-1);
  const bool has_group = ::fchown(file.get(), from.st_uid, from.st_gid) == 0 ||
                         ::fchown(file.get(), kSameOwner, from.st_gid) == 0;
  ::fchmod(file.get(), from.st_mode & (has_group ? 0777 : 0707));
}

/// Error messages name the file at `path`, whose entry in `directory` is to become permanent.
void sync_directory(const fs::path& directory, const std::string& path) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0 && errno == EACCES) return;  // it may be written to, but not opened
  if (descriptor < 0) throw system_error("open the directory of", path, errno);
  FileDescriptor(descriptor, path).sync();
}

/// Whether an existing file, whose links end at `target`, is open but deleted: /dev/stdout may be
/// such a file. Not to be confused with a file that another writer is just replacing: then `target`
/// exists at any time.
bool has_no_name(const struct stat& file, const std::string& target) {
  struct stat found = {};
  return file.st_nlink == 0 && ::lstat(target.c_str(), &found) != 0;
}

}  // namespace

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  struct stat old = {};
  const bool exists = ::stat(path.c_str(), &old) == 0;
  if (!exists && errno != ENOENT) throw system_error("write", path, errno);
  if (exists && S_ISDIR(old.st_mode)) throw system_error("replace", path, EISDIR);
  const std::string target = follow_links(path);
  if (exists && (!S_ISREG(old.st_mode) || has_no_name(old, target))) {
    FileDescriptor file = FileDescriptor::open(path, O_WRONLY | O_TRUNC | O_NOCTTY);
    file.write(bytes);
    return file.close();
  }

  fs::path directory = fs::path(target).parent_path();
  if (directory.empty()) directory = ".";
  // Initially no one else may open the replacement of a file that others may not read.
  TemporaryFile temporary(directory, path, exists ? 0600 : 0666);
  FileDescriptor& file = temporary.file();
  if (exists) take_owner_and_mode(file, old);
  file.write(bytes);
  file.sync();
  file.close();
  if (!temporary.rename_to(target)) throw system_error("replace", path, errno);
  sync_directory(directory, path);
}

std::string temporary_name() {
  std::random_device random;  // 32 bits at a time
  const std::uint64_t number = std::uint64_t{random()} << 32 | random();
  return fmt::format("{}{:0{}x}{}", kTemporaryPrefix, number, kTemporaryDigits, kTemporarySuffix);
}

bool is_temporary_name(std::string_view name) {
  if (!name.starts_with(kTemporaryPrefix) || !name.ends_with(kTemporarySuffix)) return false;
  if (name.size() != kTemporaryPrefix.size() + kTemporaryDigits + kTemporarySuffix.size()) {
    return false;
  }
  const std::string_view digits = name.substr(kTemporaryPrefix.size(), kTemporaryDigits);
  return digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string follow_links(const std::string& path) {
  constexpr int kMostLinks = 40;
  fs::path end = path;
  for (int links = 0;; ++links) {
    std::error_code not_a_link;
    const fs::path next = fs::read_symlink(end, not_a_link);
    if (not_a_link) return end.string();
    if (links == kMostLinks) throw system_error("write", path, ELOOP);
    end = end.parent_path() / next;
  }
}

std::vector<std::byte> read_file(const std::string& path, std::size_t max_bytes) {
  const FileDescriptor file = FileDescriptor::open(path, O_RDONLY);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) throw system_error("read", path, errno);
  const auto refuse_length = [&](const std::string& length) {
    throw Error(Status::kBadData,
                fmt::format("{} is {} bytes long; expected at most {}", path, length, max_bytes));
  };
  constexpr std::size_t kChunk = std::size_t{1} << 16;
  // The length of a pipe is unknown, and that of a file may change meanwhile: the caller checks
  // what was read.
  std::size_t expected = S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) : 0;
  if (expected > max_bytes) refuse_length(std::to_string(expected));
  std::vector<std::byte> bytes;
  for (std::size_t filled = 0;;) {
    if (filled == bytes.size()) {
      // One byte more than expected tells the end of the file from one that is too long.
      const std::size_t more = expected > 0 ? expected : std::min(kChunk, max_bytes - filled);
      bytes.resize(filled + more + 1);
      expected = 0;
    }
    const ssize_t got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error("read", path, errno);
    filled += static_cast<std::size_t>(got);
    if (filled > max_bytes) refuse_length("more than " + std::to_string(max_bytes));
    if (got == 0) {
      bytes.resize(filled);
      return bytes;
    }
  }
}

}  // namespace l2o
