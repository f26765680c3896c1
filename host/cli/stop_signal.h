// SIGINT and SIGTERM as a wish to end, for verbs that take long.
#pragma once

#include <csignal>

namespace l2o::cli {

/// From now on the first signal is taken down; the second one ends the process at once.
void catch_stop_signals();

/// The signal that came, or 0.
const volatile std::sig_atomic_t& stop_signal();

/// Throws kInterrupted or kTerminated, which are the exit codes, where one came.
void throw_if_stopped();

}  // namespace l2o::cli
