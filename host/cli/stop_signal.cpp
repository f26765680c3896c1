#include "host/cli/stop_signal.h"

#include <unistd.h>

#include "host/core/error.h"

namespace l2o::cli {
namespace {

volatile std::sig_atomic_t caught_signal = 0;

extern "C" void stop_handler(int signal) {
  if (caught_signal != 0) _exit(128 + signal);
  caught_signal = signal;
}

}  // namespace

void catch_stop_signals() {
  std::signal(SIGINT, stop_handler);
  std::signal(SIGTERM, stop_handler);
}

const volatile std::sig_atomic_t& stop_signal() { return caught_signal; }

void throw_if_stopped() {
  if (caught_signal == SIGINT) throw Error(Status::kInterrupted, "stopped by SIGINT");
  if (caught_signal == SIGTERM) throw Error(Status::kTerminated, "stopped by SIGTERM");
}

}  // namespace l2o::cli
