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

/// Writes a result to a file, as write_file_atomically() does. Throws kInputOutput naming the path.
void write_result(const std::string& path, const std::string& text);

/// Throws kInputOutput where a result could not be written to `path`, before time is spent on what
/// should go there. "-" is stdout.
void require_writable(const std::string& path);

}  // namespace l2o::cli
