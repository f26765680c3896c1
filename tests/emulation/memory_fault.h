// Forbidden accesses of a kernel become faults of its launch.
#pragma once

namespace l2o::emulation {

/// While one lives, an access of this processor thread to forbidden memory calls `handler` with
/// the address, on a stack of its own; it must not return. A null address: the processor does not
/// say which one.
class MemoryFaultHandler {
 public:
  using Handler = void (*)(const void* address);
  explicit MemoryFaultHandler(Handler handler);
  ~MemoryFaultHandler();
  MemoryFaultHandler(const MemoryFaultHandler&) = delete;
  MemoryFaultHandler& operator=(const MemoryFaultHandler&) = delete;
};

}  // namespace l2o::emulation
