// The roofs of a device, measured in the same run as the benchmarks that are compared with them:
// machines differ, and so does one machine from hour to hour.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "host/backend/backend.h"
#include "kernels/op_cost.h"

namespace l2o {

struct Roofs {
  double bytes_per_second = 0.0;  ///< read and written, in memory far larger than the caches
  double flops_per_second = 0.0;  ///< float32 fused multiply-adds in registers, two FLOPs each
  /// Products of float16 numbers with float32 sums, two FLOPs each; 0: no tensor cores.
  double tensor_flops_per_second = 0.0;
  /// More measurements for the report: clock rates, throughput of special functions.
  std::map<std::string, double> remarks;

  /// The time that work takes at the roofs: the longer of its arithmetic and its traffic.
  /// on_tensor_cores: where the arithmetic is done.
  double seconds(double flops, double bytes, bool on_tensor_cores) const;
};

/// Takes a second or two and at most `memory_bytes` of the device's memory; 0: enough.
Roofs measure_roofs(const DeviceInfo& device, std::size_t memory_bytes);

/// The precision at which tensor cores of this device compute the products of a rule; none if they
/// do not.
TensorCores tensor_cores_of(const DeviceInfo& device, const CellConfig& cell);

}  // namespace l2o
