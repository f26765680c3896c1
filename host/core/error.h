// Errors: everything above the kernels throws l2o::Error; the entry points (command line, C API)
// turn it into an exit code or a status.
#pragma once

#include <stdexcept>
#include <string>

namespace l2o {

/// Kinds of failure. The values are the exit codes of the command line (docs/config.md).
enum class Status : int {
  kOk = 0,
  kFailure = 1,             ///< anything without its own kind
  kUsage = 2,               ///< a wrong flag, config key or argument
  kBadData = 65,            ///< a damaged or unsuitable model, checkpoint or data file
  kDeviceUnavailable = 69,  ///< the requested device is not available
  kInternal = 70,           ///< a broken invariant: a bug in l2o
  kOutOfMemory = 71,
  kInputOutput = 74,   ///< the system could not read or write
  kRankLost = 75,      ///< another rank of the run has died, or hangs (docs/scale.md)
  kDiverged = 76,      ///< meta-training stopped on non-finite losses
  kBusy = 80,          ///< another thread is inside (C API)
  kNotFinite = 81,     ///< a gradient was rejected: it, or what it leads to, is non-finite (C API)
  kInterrupted = 130,  ///< SIGINT
  kTerminated = 143,   ///< SIGTERM
};

/// The message says what was wrong, what was expected, and which input it was.
class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

}  // namespace l2o
