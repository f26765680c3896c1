#include "host/cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "host/core/error.h"
#include "host/core/file_descriptor.h"

namespace l2o::cli {

void open_standard_streams() {
  const bool has_stdout = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // open() returns the lowest free number, which is the stream's. A directory can neither be read
    // nor written, also through /dev/stdin, which opens what the stream refers to once more. No
    // O_CLOEXEC: the programs that we start need the numbers to be taken as well.
    if (open("/", O_PATH | O_DIRECTORY) < 0) throw system_error("open", "/", errno);
  }
  if (!has_stdout) {
    throw Error(Status::kInputOutput,
                "standard output is closed; expected it open, since the result goes there "
                "(>/dev/null discards it)");
  }
}

}  // namespace l2o::cli
