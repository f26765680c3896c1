// An open file whose failures are errors, never signals.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "host/core/error.h"

namespace l2o {

/// kInputOutput: "cannot ACTION PATH: " and what the system says of `error`, a value of errno.
Error system_error(const std::string& action, const std::string& path, int error);

/// Owns a descriptor; closed with the object.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  /// Takes over the descriptor of a file that errors call `name`.
  FileDescriptor(int descriptor, std::string name);
  /// As open(2), with O_CLOEXEC. Throws kInputOutput.
  static FileDescriptor open(const std::string& path, int flags);

  FileDescriptor(FileDescriptor&& other) noexcept { swap(other); }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    FileDescriptor(std::move(other)).swap(*this);
    return *this;
  }
  ~FileDescriptor();

  int get() const { return descriptor_; }

  /// Writes all bytes. Throws kInputOutput, even where the system would send a signal: SIGXFSZ for
  /// a file beyond the limit of its size, SIGPIPE for a pipe that nobody reads.
  void write(std::span<const std::byte> bytes) const;
  /// fsync(2), where the file system has it. Throws kInputOutput.
  void sync() const;
  /// Closes now, since close(2) is where some file systems report a failed write.
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
