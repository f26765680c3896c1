#include "host/cli/stop_signal.h"

#include <unistd.h>

#include "host/core/error.h"

namespace l2o::cli {
namespace {

volatile std::sig_atomic_t caught_signal = 0;

extern "C" void stop_handler(int signal) {
  const int request = signal == SIGINT ? SIGINT : SIGTERM;
  if (caught_signal != 0) _exit(128 + request);
  caught_signal = request;
}

}  // namespace

void catch_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    if (std::signal(signal, stop_handler) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

const volatile std::sig_atomic_t& stop_signal() { return caught_signal; }

void throw_if_stopped() {
  if (caught_signal == SIGINT) throw Error(Status::kInterrupted, "stopped by SIGINT");
  if (caught_signal == SIGTERM) throw Error(Status::kTerminated, "stopped by SIGTERM");
}

}  // namespace l2o::cli
