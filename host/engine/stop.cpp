#include "host/engine/stop.h"

#include <algorithm>
#include <csignal>
#include <vector>

namespace l2o {

Stop::Stop(const Error& error) {
  if (error.status() == Status::kInterrupted) signal_ = SIGINT;
  if (error.status() == Status::kTerminated) signal_ = SIGTERM;
  if (signal_ == 0) throw error;
}

Stop Stop::by(int signal) {
  Stop stop;
  stop.signal_ = signal;
  return stop;
}

void Stop::raise() const {
  if (signal_ == SIGINT) throw Error(Status::kInterrupted, "stopped by SIGINT");
  if (signal_ == SIGTERM) throw Error(Status::kTerminated, "stopped by SIGTERM");
}

void Stop::agree(Communicator& ranks) const {
  const double mine = signal_;
  by(static_cast<int>(std::ranges::max(all_gathered(ranks, {&mine, 1})))).raise();
}

}  // namespace l2o
