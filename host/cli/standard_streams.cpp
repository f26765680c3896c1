#include "host/cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "host/core/error.h"
#include "host/core/file_descriptor.h"

namespace l2o::cli {

void open_standard_streams() {
  bool has_stdout = true;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    if (stream == STDOUT_FILENO) has_stdout = false;
    // open() returns the lowest free number, which is the stream's. It is opened for the wrong
    // direction, so using it still fails.
    if (open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
      throw system_error("open", "/dev/null", errno);
    }
  }
  if (has_stdout) return;
  throw Error(Status::kInputOutput,
              "standard output is closed; expected it open, since the result goes there "
              "(>/dev/null discards it)");
}

}  // namespace l2o::cli
