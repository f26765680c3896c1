// SIGINT and SIGTERM as requests to stop a long verb. SIGUSR1, which batch systems send before they
// kill, and SIGHUP, which closing terminals send, count as SIGTERM.
#pragma once

#include <csignal>

namespace l2o::cli {

/// From now on the first signal is recorded; a second SIGINT, or SIGTERM seconds later, ends the
/// process immediately. A signal that was ignored when the process started stays ignored: nohup,
/// background jobs.
void catch_stop_signals();

/// SIGINT or SIGTERM, or 0 if none was received.
const volatile std::sig_atomic_t& stop_signal();

/// Throws kInterrupted or kTerminated, which are the exit codes, if a signal was received. The poll
/// function of every backend (device_flags.h).
void throw_if_stopped();

}  // namespace l2o::cli
