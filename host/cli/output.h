// Output of text: results to stdout and files, everything else to stderr.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/core/error.h"

namespace l2o::cli {

/// Thrown if stdout no longer has a reader.
struct BrokenPipe {};

/// Writes a line to stderr. A failure is ignored, since it could not be reported.
void say(const std::string& line);

/// Writes a result to stdout. Throws kInputOutput, or BrokenPipe.
void print_result(const std::string& text);

/// Whether an output with that path is stdout: "-", or one of its names in /dev and /proc.
bool is_stdout(const std::string& path);

/// A path, and its name in messages.
struct NamedPath {
  std::string name;  ///< "--json", "the model"
  std::string path;
};

/// Throws kUsage if an output would overwrite an input or another output: the same file if that
/// exists, else the same path, through any links.
void require_separate(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs);

/// Throws kInputOutput if a result could not be written to `path`, before time is spent on its
/// content. "-" is stdout.
void require_writable(const std::string& path);

/// The results of a command. Each is written even if others fail, and a file is replaced
/// atomically; a command writes files before stdout.
class Results {
 public:
  /// Writes a result to a file, a device or a pipe, or to stdout if `path` is "-".
  void write(const std::string& path, const std::string& text);
  /// Calls `write`, which writes in another way and throws on failure.
  void attempt(const std::function<void()>& write);
  /// Throws the first failure, if any, after printing the others.
  void finish() const;

 private:
  std::vector<Error> failures_;
  bool is_pipe_broken_ = false;
};

}  // namespace l2o::cli
