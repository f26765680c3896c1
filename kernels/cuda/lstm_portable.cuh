// Building blocks of the kernels without tensor cores: distribution of coordinates over threads,
// inputs and activations in float32.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device.h"
#include "kernels/cuda/lstm_moments.cuh"
#include "kernels/op_args.h"

namespace l2o::cuda::portable {

// ------------------------------------------------------------------------ coordinates of a thread
// A warp has kTiles adjacent tiles of 32 coordinates, a lane the same coordinate of each: so a row
// of a tile is one access of the warp, and a loaded weight is used for kTiles coordinates.

inline constexpr int kThreads = 64;  // per block; its warps are independent

/// The thread's coordinate in the warp's first tile; the one in the next tile is kTile further on.
template <int kTiles>
L2O_DEVICE std::int64_t first_coordinate() {
  const std::int64_t warp =
      std::int64_t{block_index()} * (kThreads / kWarpSize) + thread_index() / kWarpSize;
  return warp * (kTiles * kTile) + thread_index() % kWarpSize;
}
static_assert(kTile == kWarpSize);

/// One number for each coordinate of a thread; one access to shared memory.
template <int kTiles>
struct alignas(kTiles * sizeof(float)) Values {
  float values[kTiles];
};

/// Calls visit(std::integral_constant<int, kTiles>()), with many tiles per warp if enough warps
/// remain and their shared memory fits; `shared_bytes` is that of a block with one tile per warp.
template <class Visit>
void choose_tiles(std::int64_t tiles, std::size_t shared_bytes, const Device& device,
                  const Visit& visit) {
  // Weights arrive at the rate of the cache regardless of their use, so a warp of 4 tiles does
  // twice the work of a warp of 2 in little more time; but each quarter of a multiprocessor needs a
  // warp.
  constexpr int kWarpsPerMultiprocessor = 2, kBlocksPerMultiprocessor = 3;
  const auto fits = [&](int count) {
    return tiles / count >= std::int64_t{kWarpsPerMultiprocessor} * device.multiprocessors &&
           kBlocksPerMultiprocessor * count * shared_bytes <= device.shared_bytes;
  };
  if (fits(4)) {
    visit(std::integral_constant<int, 4>());
  } else if (fits(2)) {
    visit(std::integral_constant<int, 2>());
  } else {
    visit(std::integral_constant<int, 1>());
  }
}

// ----------------------------------------------------------------------------------------- inputs

/// Computes the inputs of the first layer from a gradient.
struct Inputs {
  static constexpr int kMaxInputs = LstmConfig::kMaxInputs;

  explicit Inputs(const LstmConfig& lstm)
      : preprocessing(lstm.preprocessing),
        threshold(std::exp(-lstm.p)),
        slope(std::exp(lstm.p)),
        inverse_p(1.0F / lstm.p) {}

  /// state: of the preprocessing, its values kTile apart; updated only if `in_place`. Unused inputs
  /// become 0. Returns Adam's direction if the preprocessing has one.
  L2O_DEVICE float operator()(float gradient, float* state, bool in_place,
                              float (&inputs)[kMaxInputs]) const {
    inputs[0] = gradient;
    inputs[1] = inputs[2] = inputs[3] = 0.0F;
    float direction = 0.0F;
    switch (preprocessing) {
      case Preprocessing::kIdentity:
        break;
      case Preprocessing::kLogAndSign:
        log_and_sign_of(gradient, inputs);
        break;
      case Preprocessing::kMoments:
        update_moments<3>(state, in_place,
                          [&](float* moments) { moments_of(gradient, moments, inputs); });
        break;
      case Preprocessing::kAdamMoments:
        update_moments<5>(state, in_place, [&](float* moments) {
          direction = adam_moments_of(gradient, moments, inputs);
        });
        break;
    }
    return direction;
  }

  Preprocessing preprocessing;
  float threshold, slope, inverse_p;  // e^-p, e^p, 1 / p

 private:
  L2O_DEVICE void log_and_sign_of(float gradient, float (&inputs)[kMaxInputs]) const {
    constexpr float kLargest = 3.402823466e+38F;
    const float magnitude = std::abs(gradient);
    if (magnitude >= threshold) {
      inputs[0] = std::log(magnitude > kLargest ? kLargest : magnitude) * inverse_p;
      inputs[1] = gradient > 0.0F ? 1.0F : -1.0F;
    } else {  // NaN stays NaN
      inputs[0] = -1.0F;
      inputs[1] = slope * gradient;
    }
  }

  template <int size, class Step>
  L2O_DEVICE static void update_moments(float* state, bool in_place, const Step& step) {
    float values[size];
#pragma unroll
    for (int s = 0; s < size; ++s) values[s] = state[s * kTile];
    step(values);
    if (!in_place) return;
#pragma unroll
    for (int s = 0; s < size; ++s) state[s * kTile] = values[s];
  }
};

// ------------------------------------------------------------------------------------ activations
// Absolute errors below 2e-7; those of tanh, and therefore of the state, are relative to the value.

L2O_DEVICE float sigmoid_of(float x) {
  constexpr float kLog2E = 1.44269504088896340736F;
  return approximate_reciprocal(1.0F + approximate_exp2(-kLog2E * x));
}

L2O_DEVICE float tanh_of(float x) {
  // tanh(x) = x + x^3 Q(x^2) for small x; Q is a minimax fit with relative error 4e-8.
  constexpr float kSmall = 0.55F;
  constexpr float kQ[] = {-0.33332947F, 0.13320726F, -0.052671842F, 0.01643764F};
  constexpr float kTwoLog2E = 2.88539008177792681472F;
  const float square = x * x;
  const float q = fused(fused(fused(kQ[3], square, kQ[2]), square, kQ[1]), square, kQ[0]);
  const float small = fused(x * square, q, x);
  const float large =
      fused(-2.0F, approximate_reciprocal(1.0F + approximate_exp2(kTwoLog2E * x)), 1.0F);
  return std::abs(x) < kSmall ? small : large;
}

}  // namespace l2o::cuda::portable
