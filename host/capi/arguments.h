// Checks of what callers hand over. Each throws kUsage or kOutOfMemory, naming the argument.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>

namespace l2o::capi {

/// The pointer must not be NULL.
void require(const void* pointer, const char* name);
/// The pointer may be NULL only where it points to nothing: `count` is 0.
void require_values(const void* pointer, std::size_t count, const char* name);
/// `count` numbers are handed over where `expected` belong.
void require_count(std::size_t count, std::size_t expected, const char* name);
/// All `count` numbers are finite.
void require_finite(const float* values, std::size_t count, const char* name);
/// A finite number, 0 or more; with `positive` more than 0.
void require_scale(float value, bool positive, const char* name);
/// A count of float32 numbers that an address space can hold.
std::int64_t to_size(std::size_t count, const char* name);
/// A count in [min, max].
int to_int(std::size_t count, int min, int max, const char* name);
/// An option struct was filled by its _init function: its size is that of this version.
void require_struct_size(std::size_t size, std::size_t expected, const char* name);
/// The struct as this version has it: what was filled by the _init function of an older version,
/// whose size was one of `older`, has zeros for what it does not know.
template <class Struct>
Struct current_version(const Struct& given, std::initializer_list<std::size_t> older,
                       const char* name) {
  const bool is_older = std::find(older.begin(), older.end(), given.size) != older.end();
  if (!is_older) require_struct_size(given.size, sizeof(Struct), name);
  Struct current = {};
  std::memcpy(&current, &given, given.size);
  current.size = sizeof(Struct);
  return current;
}
/// Writes `defaults` into a struct of which the caller knows `size` bytes.
template <class Struct>
void init_struct(Struct* given, std::size_t size, Struct defaults) {
  defaults.size = std::min(size, sizeof(Struct));
  std::memcpy(given, &defaults, defaults.size);
}
/// The text, or "" for NULL.
std::string text_or_empty(const char* text);

/// Steps of an unroll or a rollout, tasks of a batch: the bounds of docs/config.md.
inline constexpr int kMaxSteps = 10'000'000;
inline constexpr int kMaxTasks = 1'000'000;
/// Tensors of one step: a network has some thousands.
inline constexpr int kMaxTensors = 1 << 24;

}  // namespace l2o::capi
