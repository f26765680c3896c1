#include "tests/emulation/memory_fault.h"

#include <csignal>
#include <memory>
#include <mutex>

namespace l2o::emulation {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS};

thread_local MemoryFaultHandler::Handler current = nullptr;
struct sigaction previous[2];

void on_signal(int signal, siginfo_t* info, void*) {
  if (current != nullptr) current(info->si_addr);
  // Not a kernel's: what would have happened happens when the access is tried again.
  sigaction(signal, &previous[signal == SIGBUS ? 1 : 0], nullptr);
}

void install() {
  for (int i = 0; i < 2; ++i) {
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    // The handler leaves by a jump to another fiber, so the signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(kSignals[i], &action, &previous[i]);
  }
}

/// A thread's stack for signals: a fiber that overflowed its own has none left.
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

MemoryFaultHandler::MemoryFaultHandler(Handler handler) {
  static std::once_flag once;
  std::call_once(once, install);
  thread_local const SignalStack stack;
  current = handler;
}

MemoryFaultHandler::~MemoryFaultHandler() { current = nullptr; }

}  // namespace l2o::emulation
