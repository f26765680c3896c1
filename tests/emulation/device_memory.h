// The memory of the emulated GPU: allocations, and accesses outside of them.
#pragma once

#include <cstddef>
#include <string>

namespace l2o::emulation {

/// Returns null if not enough memory is left (Settings::memory_bytes).
void* allocate_device_memory(std::size_t bytes);
/// Returns the size of the allocation; 0 if none starts there.
std::size_t free_device_memory(void* memory);
/// Bytes kept by a pool, which are unavailable to others.
void reserve_device_memory(std::size_t bytes);
void unreserve_device_memory(std::size_t bytes);
std::size_t device_bytes_in_use();

/// Whether all these bytes are in the same allocation.
bool is_device_memory(const void* begin, std::size_t bytes);
/// Whether this address is neither inside an allocation nor at the end of one.
bool is_host_memory(const void* address);

/// Throws EmulationFault, naming the kernel, if memory just outside of an allocation was written.
void check_margins(const char* kernel);
/// Throws EmulationFault if bytes of a kernel's parameter are an address of host memory.
void refuse_host_addresses(const char* kernel, const void* parameter, std::size_t bytes);
/// The same for a complete parameter. Its padding may contain anything, including an address; only
/// GCC can clear it.
template <class Parameter>
void refuse_host_addresses([[maybe_unused]] const char* kernel,
                           [[maybe_unused]] Parameter parameter) {
#if __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&parameter);
  refuse_host_addresses(kernel, &parameter, sizeof parameter);
#endif
}
/// Describes what is wrong with an access to an address.
std::string describe_forbidden(const void* address);

}  // namespace l2o::emulation
