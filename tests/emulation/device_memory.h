// The emulated GPU's memory: what is allocated, and what accesses outside of it are.
#pragma once

#include <cstddef>
#include <string>

namespace l2o::emulation {

/// Null where the GPU has not as much left (Settings::memory_bytes).
void* allocate_device_memory(std::size_t bytes);
/// The allocation's bytes; 0 where none begins there.
std::size_t free_device_memory(void* memory);
/// Bytes that a pool keeps, and that nobody else may have.
void reserve_device_memory(std::size_t bytes);
void unreserve_device_memory(std::size_t bytes);
std::size_t device_bytes_in_use();

/// Whether all of these bytes are in one allocation.
bool is_device_memory(const void* begin, std::size_t bytes);
/// Whether this address is in none, nor just behind one.
bool is_host_memory(const void* address);

/// Throws EmulationFault, naming the kernel, where something wrote just outside of an allocation.
void check_margins(const char* kernel);
/// Throws EmulationFault where bytes of a kernel's parameter are the address of host memory.
void refuse_host_addresses(const char* kernel, const void* parameter, std::size_t bytes);
/// The same of a whole parameter. Its padding may hold anything, an address among it, and only GCC
/// can clear that.
template <class Parameter>
void refuse_host_addresses([[maybe_unused]] const char* kernel,
                           [[maybe_unused]] Parameter parameter) {
#if __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&parameter);
  refuse_host_addresses(kernel, &parameter, sizeof parameter);
#endif
}
/// What is wrong with an access to an address.
std::string describe_forbidden(const void* address);

}  // namespace l2o::emulation
