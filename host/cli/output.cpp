#include "host/cli/output.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <system_error>

#include "host/core/atomic_file.h"
#include "host/core/file_descriptor.h"

namespace l2o::cli {
namespace {

/// Whether both are the same regular file, if both exist; else whether the paths are equal. Devices
/// and pipes may have any number of writers.
bool is_same_file(const std::string& a, const std::string& b) {
  if (is_stdout(a) && is_stdout(b)) return true;
  const auto look_at = [](const std::string& path, struct stat& status) {
    return (is_stdout(path) ? ::fstat(STDOUT_FILENO, &status) : ::stat(path.c_str(), &status)) == 0;
  };
  struct stat of_a = {}, of_b = {};
  const bool a_exists = look_at(a, of_a), b_exists = look_at(b, of_b);
  if (a_exists && b_exists) {
    return S_ISREG(of_a.st_mode) && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
  }
  if (a_exists || b_exists) return false;
  std::error_code error;
  const auto place = [&](const std::string& path) {
    // A link may dangle until its target is written.
    return std::filesystem::weakly_canonical(std::filesystem::absolute(follow_links(path), error),
                                             error);
  };
  const std::filesystem::path place_of_a = place(a), place_of_b = place(b);
  return error ? a == b : place_of_a == place_of_b;
}

}  // namespace

void say(const std::string& line) {
  const std::string text = line + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

bool is_stdout(const std::string& path) {
  return path == "-" || path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1";
}

void print_result(const std::string& text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return;
  if (errno == EPIPE) throw BrokenPipe();
  throw Error(Status::kInputOutput,
              std::string("cannot write to standard output: ") + std::strerror(errno));
}

void require_separate(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const NamedPath& output = outputs[i];
    for (const NamedPath& input : inputs) {
      if (!is_same_file(output.path, input.path)) continue;
      throw Error(Status::kUsage, fmt::format("{} {} would overwrite {}, {}", output.name,
                                              output.path, input.name, input.path));
    }
    for (std::size_t k = 0; k < i; ++k) {
      if (!is_same_file(output.path, outputs[k].path)) continue;
      throw Error(Status::kUsage,
                  is_stdout(output.path) && is_stdout(outputs[k].path)
                      ? fmt::format("{} {} and {} {}: only one of them can go to stdout",
                                    outputs[k].name, outputs[k].path, output.name, output.path)
                      : fmt::format("{} {} and {} {} are the same file", outputs[k].name,
                                    outputs[k].path, output.name, output.path));
    }
  }
}

void require_writable(const std::string& path) {
  if (is_stdout(path)) return;
  const auto require_access = [&](const std::string& what) {
    if (access(what.c_str(), W_OK) == 0) return;
    throw system_error("write", path, errno);
  };
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::none) {
    throw system_error("write", path, error.value());
  }
  if (std::filesystem::is_directory(status)) {
    throw Error(Status::kInputOutput, "cannot write " + path + ": it is a directory");
  }
  const bool exists = std::filesystem::exists(status);
  if (exists) require_access(path);
  if (exists && !std::filesystem::is_regular_file(status)) return;
  // A new file replaces it.
  const std::filesystem::path directory = std::filesystem::path(follow_links(path)).parent_path();
  require_access(directory.empty() ? "." : directory.string());
}

void Results::write(const std::string& path, const std::string& text) {
  attempt([&] {
    if (is_stdout(path)) {
      print_result(text);
    } else {
      write_file_atomically(path, std::as_bytes(std::span(text)));
    }
  });
}

void Results::attempt(const std::function<void()>& write) {
  try {
    write();
  } catch (const Error& error) {
    failures_.push_back(error);
  } catch (const BrokenPipe&) {
    is_pipe_broken_ = true;
  }
}

void Results::finish() const {
  if (failures_.empty()) {
    if (is_pipe_broken_) throw BrokenPipe();
    return;
  }
  for (std::size_t i = failures_.size() - 1; i > 0; --i) {
    say(std::string("l2o: ") + failures_[i].what());
  }
  throw failures_.front();
}

}  // namespace l2o::cli
