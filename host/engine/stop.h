// A request to stop that comes to one of several ranks, and stops all of them.
#pragma once

#include "host/comm/communicator.h"
#include "host/core/error.h"

namespace l2o {

/// SIGINT or SIGTERM; 0: nothing.
class Stop {
 public:
  Stop() = default;
  /// Of what a poll threw. Throws any other error on.
  explicit Stop(const Error& error);

  int signal() const { return signal_; }
  /// Throws kInterrupted or kTerminated where this is not nothing.
  void raise() const;
  /// Throws at every rank where it is not nothing at one of them. Collective.
  void agree(Communicator& ranks) const;

  static Stop by(int signal);

 private:
  int signal_ = 0;
};

}  // namespace l2o
