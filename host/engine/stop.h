// A request to stop that reaches one of several ranks and stops all of them.
#pragma once

#include "host/comm/communicator.h"
#include "host/core/error.h"

namespace l2o {

/// SIGINT, SIGTERM, or 0 if there is no request.
class Stop {
 public:
  Stop() = default;
  /// The request behind an error thrown by a poll. Rethrows any other error.
  explicit Stop(const Error& error);

  int signal() const { return signal_; }
  /// Throws kInterrupted or kTerminated if there is a request.
  void raise() const;
  /// Throws on every rank if there is a request on any of them. Collective.
  void agree(Communicator& ranks) const;

  static Stop by(int signal);

 private:
  int signal_ = 0;
};

}  // namespace l2o
