// A process that only waits for another one, to report how it ended in all cases.
#pragma once

#include <functional>

namespace l2o::cli {

/// Runs `work` in a child process and returns its exit code; does not return in the child. If a
/// signal kills the child, returns killed(signal). Forwards signals to stop to the child, which
/// catches them from its start (stop_signal.h) and dies with this process. Must be called before
/// any thread is started.
int supervise(const std::function<int()>& work, const std::function<int(int signal)>& killed);

}  // namespace l2o::cli
