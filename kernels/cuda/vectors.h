// Whether memory may be read and written in whole vectors.
#pragma once

#include <cstdint>

namespace l2o::cuda {

/// Whether a pointer is aligned to the size of T, as loads and stores of vectors demand.
template <class T>
bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % sizeof(T) == 0;
}

}  // namespace l2o::cuda
