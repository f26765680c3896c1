#include "host/capi/handles.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "host/core/error.h"

namespace l2o::capi {
namespace {

/// Threads that work on different handles rarely contend for a lock.
constexpr std::size_t kShards = 16;

struct Shard {
  std::shared_mutex mutex;
  std::unordered_map<std::uintptr_t, std::shared_ptr<Object>> objects;
};

struct Table {
  std::array<Shard, kShards> shards;
  std::atomic<std::uintptr_t> next{0};
};

/// Never destroyed: threads may still make calls while the process exits.
Table& table() {
  static Table& table = *new Table;
  return table;
}

std::uintptr_t number_of(const void* handle) { return reinterpret_cast<std::uintptr_t>(handle); }

Shard& shard_of(std::uintptr_t number) { return table().shards[number / 2 % kShards]; }

}  // namespace

void* add_handle(std::shared_ptr<Object> object) {
  // An odd number: no pointer that a caller could mistake for a handle is odd.
  const std::uintptr_t number = 2 * table().next.fetch_add(1, std::memory_order_relaxed) + 1;
  Shard& shard = shard_of(number);
  const std::unique_lock lock(shard.mutex);
  shard.objects.emplace(number, std::move(object));
  return reinterpret_cast<void*>(number);  // NOLINT(performance-no-int-to-ptr): not an address
}

std::shared_ptr<Object> find_object(const void* handle, const char* kind) {
  if (handle == nullptr) throw Error(Status::kUsage, fmt::format("the {} is NULL", kind));
  Shard& shard = shard_of(number_of(handle));
  const std::shared_lock lock(shard.mutex);
  const auto found = shard.objects.find(number_of(handle));
  if (found == shard.objects.end()) {
    throw Error(
        Status::kUsage,
        fmt::format("the {} is not a live handle: it was destroyed or never created", kind));
  }
  return found->second;
}

void remove_handle(const void* handle) {
  Shard& shard = shard_of(number_of(handle));
  std::shared_ptr<Object> last;  // destroyed after the lock is released
  const std::unique_lock lock(shard.mutex);
  const auto found = shard.objects.find(number_of(handle));
  if (found == shard.objects.end()) return;
  last = std::move(found->second);
  shard.objects.erase(found);
}

void throw_wrong_kind(const Object& object, const char* expected) {
  throw Error(Status::kUsage,
              fmt::format("the {} is a handle of another kind: {}", expected, object.kind()));
}

}  // namespace l2o::capi
