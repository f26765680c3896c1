#include "tests/emulation/device_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "tests/emulation/emulation.h"
#include "tests/emulation/guarded_memory.h"

namespace l2o::emulation {
namespace {

/// The alignment guaranteed by Backend::allocate; a real GPU has more.
constexpr std::size_t kAlignment = 64;

struct DeviceMemory {
  std::mutex mutex;
  std::map<const std::byte*, std::unique_ptr<GuardedMemory>> allocations;  // by start address
  std::map<const std::byte*, std::size_t> freed;                           // bytes
  std::size_t bytes_in_use = 0, bytes_reserved = 0;
};

DeviceMemory& device_memory() {
  static DeviceMemory only;
  return only;
}

/// The last entry of a map that starts at or before an address; end() if there is none.
template <class Map>
auto last_before(const Map& map, const void* address) {
  auto next = map.upper_bound(static_cast<const std::byte*>(address));
  return next == map.begin() ? map.end() : --next;
}

/// Asks the operating system, which returns an error if an access would fail.
bool is_readable(const void* address) {
  constexpr std::uintptr_t kLowest = 1 << 16, kHighest = std::uintptr_t{1} << 47;
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  if (number < kLowest || number >= kHighest) return false;  // most words are not addresses
  static const std::array<int, 2> ends = [] {
    std::array<int, 2> made = {};
    if (pipe(made.data()) != 0) throw std::runtime_error("no pipe");
    return made;
  }();
  std::byte value;
  return write(ends[1], address, 1) == 1 && read(ends[0], &value, 1) == 1;
}

}  // namespace

void* allocate_device_memory(std::size_t bytes) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  const std::size_t taken = all.bytes_in_use + all.bytes_reserved;
  if (taken > settings.memory_bytes || bytes > settings.memory_bytes - taken) return nullptr;
  auto memory = std::make_unique<GuardedMemory>(bytes, kAlignment);
  std::byte* const begin = memory->begin();
  all.allocations.emplace(begin, std::move(memory));
  all.bytes_in_use += bytes;
  return begin;
}

std::size_t free_device_memory(void* memory) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  const auto found = all.allocations.find(static_cast<const std::byte*>(memory));
  if (found == all.allocations.end()) return 0;
  const std::size_t bytes = found->second->bytes();
  all.bytes_in_use -= bytes;
  all.freed.emplace(found->first, bytes);
  all.allocations.erase(found);
  return bytes;
}

void reserve_device_memory(std::size_t bytes) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  all.bytes_reserved += bytes;
}

void unreserve_device_memory(std::size_t bytes) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  all.bytes_reserved -= bytes;
}

std::size_t device_bytes_in_use() {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  return all.bytes_in_use;
}

bool is_device_memory(const void* begin, std::size_t bytes) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  const auto found = last_before(all.allocations, begin);
  return found != all.allocations.end() &&
         static_cast<const std::byte*>(begin) + bytes <= found->second->end();
}

bool is_host_memory(const void* address) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  const auto found = last_before(all.allocations, address);
  return found == all.allocations.end() || address >= found->second->fence();
}

void check_margins(const char* kernel) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  for (const auto& [begin, memory] : all.allocations) {
    if (!memory->margins_are_intact()) {
      throw EmulationFault(fmt::format("{}: wrote just outside of an allocation of {} bytes",
                                       kernel, memory->bytes()));
    }
  }
}

void refuse_host_addresses(const char* kernel, const void* parameter, std::size_t bytes) {
  // Any word that is an address of memory readable by this process is treated as a pointer.
  for (std::size_t offset = 0; offset + sizeof(void*) <= bytes; offset += sizeof(void*)) {
    void* address = nullptr;
    std::memcpy(&address, static_cast<const std::byte*>(parameter) + offset, sizeof address);
    if (is_host_memory(address) && is_readable(address)) {
      throw EmulationFault(
          fmt::format("{}: at byte {}, a parameter points to host memory", kernel, offset));
    }
  }
}

std::string describe_forbidden(const void* address) {
  DeviceMemory& all = device_memory();
  const std::lock_guard lock(all.mutex);
  const auto* const place = static_cast<const std::byte*>(address);
  if (const auto found = last_before(all.freed, address);
      found != all.freed.end() && place < found->first + found->second) {
    return fmt::format("accesses memory that was freed, {} bytes", found->second);
  }
  if (const auto found = last_before(all.allocations, address); found != all.allocations.end()) {
    return fmt::format("accesses {}, {} bytes past the end of an allocation of {} bytes", address,
                       place - found->second->end(), found->second->bytes());
  }
  return fmt::format("accesses {}, which is not the device's memory", address);
}

}  // namespace l2o::emulation
