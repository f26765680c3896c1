// SIGINT and SIGTERM as a request to end, for verbs that take long; and as SIGTERM what batch
// systems send before they kill (SIGUSR1) and terminals that close (SIGHUP).
#pragma once

#include <csignal>

namespace l2o::cli {

/// From now on the first signal is noted; a second SIGINT, or SIGTERM seconds later, ends the
/// process at once. A signal that the process was started to ignore stays ignored: nohup, jobs in
/// the background.
void catch_stop_signals();

/// SIGINT or SIGTERM, or 0 where none came.
const volatile std::sig_atomic_t& stop_signal();

/// Throws kInterrupted or kTerminated, which are the exit codes, where one came. The poll of every
/// backend (device_flags.h).
void throw_if_stopped();

}  // namespace l2o::cli
