// The approximations of a GPU's special-function unit (errors: see kernels/cuda/device.cuh).
#pragma once

namespace l2o::emulation {

/// With a relative error of at most 2^-11 that is pseudorandom but depends only on x; without it if
/// Settings::exact_tanh is set.
float approximate_tanh(float x);

// Computed in double and rounded. exp2, reciprocal and square root treat denormals as 0, like the
// hardware.
float approximate_exp2(float x);
float approximate_reciprocal(float x);
float approximate_square_root(float x);
float approximate_log2(float x);

}  // namespace l2o::emulation
