// What this machine can do at most, measured in the same run as the benches that are held against
// it: machines differ, and so does one machine from hour to hour.
#pragma once

#include <cstddef>

namespace l2o {

struct Roofs {
  double flops_per_second = 0.0;  ///< fused multiply-adds in registers, two FLOPs each
  double bytes_per_second = 0.0;  ///< read and written, in memory far larger than the caches
};

/// Takes about two seconds and at most `memory_bytes` of memory.
Roofs measure_roofs(int threads, std::size_t memory_bytes);

}  // namespace l2o
