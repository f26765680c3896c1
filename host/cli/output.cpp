#include "host/cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <system_error>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/core/file_descriptor.h"

namespace l2o::cli {

void say(const std::string& line) {
  const std::string text = line + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_result(const std::string& text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return;
  if (errno == EPIPE) throw BrokenPipe();
  throw Error(Status::kInputOutput,
              std::string("cannot write to standard output: ") + std::strerror(errno));
}

void write_result(const std::string& path, const std::string& text) {
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

void require_writable(const std::string& path) {
  if (path == "-") return;
  const auto require_access = [&](const std::string& what) {
    if (access(what.c_str(), W_OK) == 0) return;
    throw system_error("write", path, errno);
  };
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(status)) {
    throw Error(Status::kInputOutput, "cannot write " + path + ": it is a directory");
  }
  const bool exists = std::filesystem::exists(status);
  if (exists) require_access(path);
  if (exists && !std::filesystem::is_regular_file(status)) return;
  // A new file takes its place.
  const std::filesystem::path directory = std::filesystem::path(follow_links(path)).parent_path();
  require_access(directory.empty() ? "." : directory.string());
}

}  // namespace l2o::cli
