// Where text goes: results to stdout and files, everything else to stderr.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/core/error.h"

namespace l2o::cli {

/// The reader of stdout has gone away.
struct BrokenPipe {};

/// Writes a line to stderr. A failure is ignored: nobody is there to be told.
void say(const std::string& line);

/// Writes a result to stdout. Throws kInputOutput, or BrokenPipe.
void print_result(const std::string& text);

/// Whether an output of that path is stdout: "-", or one of its names in /dev and /proc.
bool is_stdout(const std::string& path);

/// A path, and what messages call it.
struct NamedPath {
  std::string name;  ///< "--json", "the model"
  std::string path;
};

/// Throws kUsage where an output would be written over an input or over another output: to the same
/// file where that exists, whatever links lead there, else to the same path.
void require_separate(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs);

/// Throws kInputOutput where a result could not be written to `path`, before time is spent on its
/// content. "-" is stdout.
void require_writable(const std::string& path);

/// The results of a command. Each is written whatever becomes of the others, and a file is replaced
/// atomically; a command writes files before stdout.
class Results {
 public:
  /// Writes a result to a file, a device or a pipe, or to stdout where `path` is "-".
  void write(const std::string& path, const std::string& text);
  /// Does what writes in another way and throws as it fails.
  void attempt(const std::function<void()>& write);
  /// Throws what failed, the first failure last and with its status; the others are said.
  void finish() const;

 private:
  std::vector<Error> failures_;
  bool is_pipe_broken_ = false;
};

}  // namespace l2o::cli
