// An open file whose failures are reported as errors, never as signals.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "host/core/error.h"

namespace l2o {

/// kInputOutput: "cannot ACTION PATH: " and the system's message for `error`, a value of errno.
Error system_error(const std::string& action, const std::string& path, int error);

/// Owns a descriptor, which the destructor closes.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  /// Takes ownership of the descriptor of a file that error messages call `name`.
  FileDescriptor(int descriptor, std::string name);
  /// Like open(2), with O_CLOEXEC. Throws kInputOutput.
  static FileDescriptor open(const std::string& path, int flags);

  FileDescriptor(FileDescriptor&& other) noexcept { swap(other); }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    FileDescriptor(std::move(other)).swap(*this);
    return *this;
  }
  ~FileDescriptor();

  int get() const { return descriptor_; }

  /// Writes all bytes. Throws kInputOutput, even if the system would send a signal: SIGXFSZ for a
  /// file beyond the size limit, SIGPIPE for a pipe without a reader.
  void write(std::span<const std::byte> bytes) const;
  /// fsync(2), if the file system supports it. Throws kInputOutput.
  void sync() const;
  /// Closes now, since some file systems report a failed write only in close(2).
  void close();

 private:
  void swap(FileDescriptor& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(name_, other.name_);
  }

  int descriptor_ = -1;
  std::string name_;
};

}  // namespace l2o
