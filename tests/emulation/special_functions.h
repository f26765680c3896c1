// The approximations of a GPU's special-function unit (kernels/cuda/device.cuh has their errors).
#pragma once

namespace l2o::emulation {

/// With a relative error of at most 2^-11 that looks random but depends on x alone; without it
/// where Settings::exact_tanh says so.
float approximate_tanh(float x);

// Computed in double and rounded. exp2, reciprocal and square root take denormals for 0, as the
// hardware does.
float approximate_exp2(float x);
float approximate_reciprocal(float x);
float approximate_square_root(float x);
float approximate_log2(float x);

}  // namespace l2o::emulation
