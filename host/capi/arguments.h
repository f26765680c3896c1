// Checks of what callers hand over. Each throws kUsage or kOutOfMemory, naming the argument.
#pragma once

#include <cstddef>
#include <cstdint>
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
/// The text, or "" for NULL.
std::string text_or_empty(const char* text);

/// Steps of an unroll or a rollout, tasks of a batch: the bounds of docs/config.md.
inline constexpr int kMaxSteps = 10'000'000;
inline constexpr int kMaxTasks = 1'000'000;

}  // namespace l2o::capi
