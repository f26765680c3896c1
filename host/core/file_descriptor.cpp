#include "host/core/file_descriptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <system_error>
#include <utility>

namespace l2o {
namespace {

/// Blocks the signals of a failed write in this thread. The handlers belong to the process: a
/// library must not change them.
class WriteSignalsBlocked {
 public:
  WriteSignalsBlocked() {
    sigset_t pending;
    sigpending(&pending);
    sigemptyset(&signals_);
    for (const int signal : {SIGXFSZ, SIGPIPE}) {
      // One that is pending is already blocked, and for someone else to handle.
      if (sigismember(&pending, signal) == 0) sigaddset(&signals_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~WriteSignalsBlocked() {
    const timespec no_time = {};
    while (sigtimedwait(&signals_, nullptr, &no_time) > 0 || errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WriteSignalsBlocked(const WriteSignalsBlocked&) = delete;
  WriteSignalsBlocked& operator=(const WriteSignalsBlocked&) = delete;

 private:
  sigset_t signals_ = {}, before_ = {};
};

}  // namespace

Error system_error(const std::string& action, const std::string& path, int error) {
  return Error(Status::kInputOutput, fmt::format("cannot {} {}: {}", action, path,
                                                 std::generic_category().message(error)));
}

FileDescriptor::FileDescriptor(int descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)) {}

FileDescriptor FileDescriptor::open(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (descriptor < 0) throw system_error("open", path, errno);
  return {descriptor, path};
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileDescriptor::write(std::span<const std::byte> bytes) const {
  const WriteSignalsBlocked blocked;
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw system_error("write", name_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void FileDescriptor::sync() const {
  if (::fsync(descriptor_) == 0) return;
  // Devices do not support it, and some network file systems not for directories.
  if (errno == EINVAL || errno == ENOTSUP || errno == ENOSYS) return;
  throw system_error("write", name_, errno);
}

void FileDescriptor::close() {
  if (::close(std::exchange(descriptor_, -1)) != 0) throw system_error("write", name_, errno);
}

}  // namespace l2o
