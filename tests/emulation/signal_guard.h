// Converts CPU exceptions to faults of the kernel that caused them.
#pragma once

namespace l2o::emulation {

/// During its lifetime, a signal caused by this CPU thread, such as an access to inaccessible
/// memory, calls `handler` on a separate stack; the handler must not return. The address is that of
/// the access, or null if the CPU does not report it.
class SignalGuard {
 public:
  using Handler = void (*)(int signal, const void* address);
  explicit SignalGuard(Handler handler);
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
};

}  // namespace l2o::emulation
