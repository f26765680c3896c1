// Overflow-checked products of sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

#include "host/core/error.h"

namespace l2o {

/// Returns the product of non-negative sizes. Throws kOutOfMemory if it exceeds the largest
/// std::int64_t: nothing with so many elements or bytes fits into memory.
inline std::size_t checked_size(std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor == 0) return 0;
    if (factor < 0) throw Error(Status::kInternal, "negative size: " + std::to_string(factor));
    if (product > std::numeric_limits<std::int64_t>::max() / factor) {
      std::string text;
      for (const std::int64_t each : factors) {
        text += (text.empty() ? "" : " x ") + std::to_string(each);
      }
      throw Error(Status::kOutOfMemory, "a size of " + text + " exceeds the address space");
    }
    product *= factor;
  }
  return static_cast<std::size_t>(product);
}

}  // namespace l2o
