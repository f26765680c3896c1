// Checks whether memory may be accessed as whole vectors.
#pragma once

#include <cstdint>

namespace l2o::cuda {

/// Whether a pointer is aligned to the size of T, as vector loads and stores require.
template <class T>
bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % sizeof(T) == 0;
}

}  // namespace l2o::cuda
