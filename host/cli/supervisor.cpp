#include "host/cli/supervisor.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "host/cli/stop_signal.h"
#include "host/core/file_descriptor.h"

namespace l2o::cli {
namespace {

volatile pid_t working = 0;

/// Some launchers send a signal to the whole process group, others only to the process that they
/// started. A child that already has the signal ignores SIGUSR1 (stop_signal.h).
extern "C" void pass_on(int /*signal*/) {
  if (working > 0) ::kill(working, SIGUSR1);
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw system_error("wait for", "the worker process", errno);
  }
  return status;
}

}  // namespace

int supervise(const std::function<int()>& work, const std::function<int(int signal)>& killed) {
  // No signal may end either process between the fork and the setup below.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t parent = ::getpid(), child = ::fork();
  if (child < 0) {
    const int failure = errno;
    sigprocmask(SIG_SETMASK, &before, nullptr);
    throw system_error("start", "a process", failure);
  }
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) std::_Exit(EXIT_FAILURE);
    catch_stop_signals();  // this process forwards them as SIGUSR1, which would kill the child
    sigprocmask(SIG_SETMASK, &before, nullptr);
    std::exit(work());
  }
  working = child;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    if (std::signal(signal, pass_on) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  const int status = wait_for(child);
  working = 0;
  return WIFSIGNALED(status) ? killed(WTERMSIG(status)) : WEXITSTATUS(status);
}

}  // namespace l2o::cli
