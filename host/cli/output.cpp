#include "host/cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "host/core/error.h"

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
  if (path == "-") return print_result(text);
  errno = 0;
  // Not by way of a temporary file: the path may be a device or a pipe.
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    throw Error(Status::kInputOutput, "cannot write " + path + ": " + std::strerror(errno));
  }
}

void require_writable(const std::string& path) {
  if (path == "-") return;
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory = ".";
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  if (std::filesystem::is_directory(path, error)) {
    throw Error(Status::kInputOutput, "cannot write " + path + ": it is a directory");
  }
  if (access(exists ? path.c_str() : directory.c_str(), W_OK) != 0) {
    throw Error(Status::kInputOutput, "cannot write " + path + ": " + std::strerror(errno));
  }
}

}  // namespace l2o::cli
