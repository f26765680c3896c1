// Where text goes: results to stdout and files, everything else to stderr.
#pragma once

#include <string>

namespace l2o::cli {

/// The reader of stdout has gone away.
struct BrokenPipe {};

/// Writes a line to stderr. A failure is ignored: nobody is there to be told.
void say(const std::string& line);

/// Writes a result to stdout. Throws kInputOutput, or BrokenPipe.
void print_result(const std::string& text);

/// Writes a result to a file, or to stdout where `path` is "-". Throws kInputOutput naming the
/// path.
void write_result(const std::string& path, const std::string& text);

/// Throws kInputOutput where a file could not be made at `path`, before time is spent on what
/// should go there.
void require_writable(const std::string& path);

}  // namespace l2o::cli
