// Products of sizes that cannot wrap around.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

#include "host/core/error.h"

namespace l2o {

/// The product of sizes (none negative), at most the largest std::int64_t; kOutOfMemory beyond:
/// whatever has so many elements or bytes does not fit anywhere.
inline std::size_t checked_size(std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor == 0) return 0;
    if (factor < 0) throw Error(Status::kInternal, "a negative size: " + std::to_string(factor));
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
