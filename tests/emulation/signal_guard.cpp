#include "tests/emulation/signal_guard.h"

#include <csignal>
#include <memory>
#include <mutex>

namespace l2o::emulation {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE};
constexpr int kHighestSignal = 64;

thread_local SignalGuard::Handler current = nullptr;
struct sigaction previous[kHighestSignal + 1];

void on_signal(int signal, siginfo_t* info, void*) {
  if (current != nullptr) current(signal, info->si_addr);
  // Not caused by a kernel: the instruction is retried with the previous handler.
  sigaction(signal, &previous[signal], nullptr);
}

void install() {
  for (const int signal : kSignals) {
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    // The handler leaves by a jump to another fiber, so the signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(signal, &action, &previous[signal]);
  }
}

/// A thread's signal stack: a fiber that overflowed its own stack has no space left.
class SignalStack {
 public:
  SignalStack() : memory_(std::make_unique<char[]>(kBytes)) {
    stack_t stack = {};
    stack.ss_sp = memory_.get();
    stack.ss_size = kBytes;
    sigaltstack(&stack, &previous_);
  }
  ~SignalStack() { sigaltstack(&previous_, nullptr); }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  static constexpr std::size_t kBytes = 64 << 10;
  std::unique_ptr<char[]> memory_;
  stack_t previous_ = {};
};

}  // namespace

SignalGuard::SignalGuard(Handler handler) {
  static std::once_flag once;
  std::call_once(once, install);
  thread_local const SignalStack stack;
  current = handler;
}

SignalGuard::~SignalGuard() { current = nullptr; }

}  // namespace l2o::emulation
