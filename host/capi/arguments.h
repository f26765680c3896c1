// Checks of the caller's arguments. Each throws kUsage or kOutOfMemory, naming the argument.
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
/// The pointer must not be NULL unless `count` is 0.
void require_values(const void* pointer, std::size_t count, const char* name);
/// `count` must be `expected`.
void require_count(std::size_t count, std::size_t expected, const char* name);
/// All `count` numbers must be finite.
void require_finite(const float* values, std::size_t count, const char* name);
/// The value must be finite and at least 0, or, if `positive`, above 0.
void require_scale(float value, bool positive, const char* name);
/// The count must be a number of float32 values that fits in the address space.
std::int64_t to_size(std::size_t count, const char* name);
/// The number of bytes must be one that can be allocated.
void require_bytes(std::size_t bytes, const char* name);
/// The count must be in [min, max].
int to_int(std::size_t count, int min, int max, const char* name);
/// The size of an option struct must be that of this version, as set by its _init function.
void require_struct_size(std::size_t size, std::size_t expected, const char* name);
/// Converts a struct to this version's: one that was filled by the _init function of an older
/// version, whose size was one of `older`, gets zeros for its missing members.
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
/// Writes `defaults` into a struct that has `size` bytes in the caller's version.
template <class Struct>
void init_struct(Struct* given, std::size_t size, Struct defaults) {
  defaults.size = std::min(size, sizeof(Struct));
  std::memcpy(given, &defaults, defaults.size);
}
/// The string, or "" for NULL.
std::string text_or_empty(const char* text);

}  // namespace l2o::capi
