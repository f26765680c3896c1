// The roofs of a CUDA GPU, and which of them applies to which update rule.
#pragma once

#include <cstddef>

#include "bench/roofs.h"
#include "kernels/cells/cell.h"

namespace l2o {

/// Measures the first GPU. Takes about a second and at most `memory_bytes` of its memory. Throws
/// cuda::CudaError.
Roofs measure_cuda_roofs(std::size_t memory_bytes);

/// Whether tensor cores compute the products of this rule.
bool runs_on_tensor_cores(const CellConfig& cell);

}  // namespace l2o
