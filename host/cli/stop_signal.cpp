#include "host/cli/stop_signal.h"

#include <unistd.h>

#include <ctime>

#include "host/engine/stop.h"

namespace l2o::cli {
namespace {

volatile std::sig_atomic_t caught_signal = 0;
volatile std::sig_atomic_t caught_at = 0;  // seconds

std::sig_atomic_t seconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::sig_atomic_t>(now.tv_sec);
}

extern "C" void stop_handler(int signal) {
  if (caught_signal == 0) {
    caught_at = seconds();
    caught_signal = signal == SIGINT ? SIGINT : SIGTERM;
    return;
  }
  // A closing terminal sends SIGHUP twice, and session managers send SIGTERM right after it, while
  // the checkpoint is being written. Ctrl-C under mpirun may arrive as SIGUSR1 of the supervisor
  // and again as itself.
  const bool is_later = seconds() - caught_at > 1;
  if (signal == SIGINT && caught_signal != SIGINT && !is_later) {
    caught_signal = SIGINT;
    return;
  }
  const bool insists = signal == SIGINT || (signal == SIGTERM && is_later);
  if (insists) _exit(128 + signal);
}

}  // namespace

void catch_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    if (std::signal(signal, stop_handler) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

const volatile std::sig_atomic_t& stop_signal() { return caught_signal; }

void throw_if_stopped() { Stop::by(caught_signal).raise(); }

}  // namespace l2o::cli
