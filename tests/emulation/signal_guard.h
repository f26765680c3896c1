// What a processor refuses becomes a fault of the kernel that asked for it.
#pragma once

namespace l2o::emulation {

/// While one lives, a signal for something that this processor thread did, such as an access to
/// forbidden memory, calls `handler` on a stack of its own; it must not return. The address is that
/// of the access, null where the processor does not say which one.
class SignalGuard {
 public:
  using Handler = void (*)(int signal, const void* address);
  explicit SignalGuard(Handler handler);
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
};

}  // namespace l2o::emulation
