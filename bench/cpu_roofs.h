// The roofs of a CPU.
#pragma once

#include <cstddef>

#include "bench/roofs.h"

namespace l2o {

/// Takes about two seconds and at most `memory_bytes` of memory.
Roofs measure_cpu_roofs(int threads, std::size_t memory_bytes);

}  // namespace l2o
