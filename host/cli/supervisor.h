// A process that only waits for another one: to say how that ended, whatever ended it.
#pragma once

#include <functional>

namespace l2o::cli {

/// Does `work` in a child and returns its exit code here; in the child it does not return. Where a
/// signal kills the child, `killed` is called with its number, and gives the exit code. Signals to
/// stop are passed on to the child, which dies with this process. Before any thread is started.
int supervise(const std::function<int()>& work, const std::function<int(int signal)>& killed);

}  // namespace l2o::cli
