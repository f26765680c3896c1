// One step of the LSTM for the coordinates of a warp, on tensor cores: the part shared by the step
// and the replay of an unroll, with identical bits. lstm_geometry.cuh describes the assignment to
// lanes.
//
// A warp has kTiles tiles of 16 coordinates, so a lane has kRows = 2 kTiles of them: row r is in
// half r % 2 (row g or g + 8 of the fragment) of tile r / 2.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/lstm_policy.cuh"

namespace l2o::cuda {

// --------------------------------------------------------------------------------- lanes of a quad

/// Sums over the four lanes of a quad: lane t gets the sum of sums[t].
L2O_DEVICE float sum_quad(const float (&sums)[4], int t) {
  const bool upper = t >= 2, odd = t % 2 == 1;
  const float kept0 = (upper ? sums[2] : sums[0]) + shuffle_xor(upper ? sums[0] : sums[2], 2);
  const float kept1 = (upper ? sums[3] : sums[1]) + shuffle_xor(upper ? sums[1] : sums[3], 2);
  return (odd ? kept1 : kept0) + shuffle_xor(odd ? kept0 : kept1, 1);
}

/// Transposes the values of a quad: lane t passes values[k] and gets, as transposed[r], values[t]
/// of lane r.
L2O_DEVICE void transpose_quad(const float (&values)[4], int t, float (&transposed)[4]) {
  const bool upper = t >= 2, odd = t % 2 == 1;
  // From lanes t and t ^ 2, the two of four values that lanes t and t ^ 1 need.
  const float own[2] = {upper ? values[2] : values[0], upper ? values[3] : values[1]};
  const float other[2] = {shuffle_xor(upper ? values[0] : values[2], 2),
                          shuffle_xor(upper ? values[1] : values[3], 2)};
  // from[d]: from lane t ^ d.
  const float from[4] = {own[0], shuffle_xor(odd ? own[0] : own[1], 1), other[0],
                         shuffle_xor(odd ? other[0] : other[1], 1)};
  const float from_self = odd ? own[1] : from[0], from_other_half = odd ? other[1] : from[2];
  const float even0 = odd ? from[1] : from_self, even1 = odd ? from_self : from[1];
  const float even2 = odd ? from[3] : from_other_half, even3 = odd ? from_other_half : from[3];
  transposed[0] = upper ? even2 : even0;
  transposed[1] = upper ? even3 : even1;
  transposed[2] = upper ? even0 : even2;
  transposed[3] = upper ? even1 : even3;
}

// ----------------------------------------------------------------------------------------- inputs

/// log_and_sign with its constants (kernels/math/preprocessing.h has the formula).
struct LogAndSignConstants {
  float threshold;   ///< e^-p
  float slope;       ///< e^p
  float log_factor;  ///< ln(2) / p

  /// Input of lane t of a quad to the first layer, besides h: x0, x1, 1 or 0.
  L2O_DEVICE float input_of_lane(float gradient, int t) const {
    constexpr float kLargest = 3.402823466e+38F;
    const float magnitude = fabsf(gradient);
    const bool large = magnitude >= threshold;
    // An infinite gradient is treated as the largest number; for NaN, x1 and hence all outputs are
    // NaN.
    const float finite = magnitude > kLargest ? kLargest : magnitude;
    const float sign = gradient > 0.0F ? 1.0F : -1.0F;
    const float x0 = large ? approximate_log2(finite) * log_factor : -1.0F;
    const float x1 = large ? sign : gradient * slope;
    return t == 0 ? x0 : t == 1 ? x1 : t == 2 ? 1.0F : 0.0F;
  }
};

inline LogAndSignConstants log_and_sign_constants(const LstmConfig& lstm) {
  constexpr float kLn2 = 0.69314718055994530942F;
  return {.threshold = std::exp(-lstm.p), .slope = std::exp(lstm.p), .log_factor = kLn2 / lstm.p};
}

// ------------------------------------------------------------------------------------ activations

struct LstmGates {
  float i, f, g, o;
};

/// The z include the factors of LstmPolicy::gate_scale.
template <class Policy>
L2O_DEVICE LstmGates activate(float zi, float zf, float zg, float zo) {
  if constexpr (Policy::kF32) {
    // 1 / (1 + 2^z) three times and (2^z - 1) / (2^z + 1); i, f and g share one reciprocal: bounded
    // exponents keep the product of the denominators finite.
    constexpr float kMaxExponent = 40.0F;
    const float i_denominator = 1.0F + approximate_exp2(fminf(zi, kMaxExponent));
    const float f_denominator = 1.0F + approximate_exp2(fminf(zf, kMaxExponent));
    const float g_power = approximate_exp2(fminf(zg, kMaxExponent));
    const float g_denominator = g_power + 1.0F;
    const float i_f = i_denominator * f_denominator;
    const float inverse = approximate_reciprocal(i_f * g_denominator);
    const float inverse_i_f = inverse * g_denominator;
    return {.i = inverse_i_f * f_denominator,
            .f = inverse_i_f * i_denominator,
            .g = (g_power - 1.0F) * (inverse * i_f),
            .o = approximate_reciprocal(1.0F + approximate_exp2(zo))};
  } else {
    return {.i = fused(approximate_tanh(zi), 0.5F, 0.5F),
            .f = fused(approximate_tanh(zf), 0.5F, 0.5F),
            .g = approximate_tanh(zg),
            .o = fused(approximate_tanh(zo), 0.5F, 0.5F)};
  }
}

template <class Policy>
L2O_DEVICE float tanh_of_cell(float c) {
  if constexpr (Policy::kF32) {
    constexpr float kTwoLog2E = 2.88539008177792681472F, kMaxExponent = 80.0F;
    const float power = approximate_exp2(fminf(c * kTwoLog2E, kMaxExponent));
    return (power - 1.0F) * approximate_reciprocal(power + 1.0F);
  } else {
    return approximate_tanh(c);
  }
}

// ---------------------------------------------------------------------------------- the new state

/// Rounds c up or down at random to a float16, returned as a float32. The nearer neighbor is more
/// likely, so that small additions to a large c are not always lost. The randomness is a hash of c
/// and h, whose last bits are as good as random; a replay draws it again.
L2O_DEVICE float round_cell_randomly(float c, float h) {
  constexpr std::uint32_t kLostBits = 0x1FFFU;  // of a float32's mantissa
  constexpr float kLargest = 65504.0F;
  const std::uint32_t random = (bits_of(c) ^ bits_of(h)) * 0x9E3779B1U >> 19;
  const float rounded = float_from_bits((bits_of(c) + random) & ~kLostBits);
  const float bounded = fminf(fmaxf(rounded, -kLargest), kLargest);
  // Denormal float16 numbers have even fewer bits. NaN stays NaN.
  return c == c ? low_of_float16(float16_pair(bounded, bounded)) : c;
}

// ----------------------------------------------------------------------------------- the products

template <class Geometry_, Precision precision, int kTiles_>
struct LstmForward {
  using Geometry = Geometry_;
  using Policy = LstmPolicy<precision>;
  static constexpr int kTiles = kTiles_, kRows = 2 * kTiles;
  static constexpr int kGroups = Geometry::kGroups;
  static constexpr int kParts = Policy::kHiddenParts;
  static constexpr std::uint32_t kOnes = 0x3C003C00U;  // a pair of float16

  /// Numbers of one slot; a pair of float16 holds those of a tile's two rows.
  using SlotWords = std::uint32_t[kParts][kTiles];
  /// h of a layer, for the lane's units.
  struct Hidden {
    SlotWords unit[kGroups];
  };

  L2O_DEVICE static void split(const float (&values)[kRows], SlotWords& words) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const float first = values[2 * tile], second = values[2 * tile + 1];
      words[0][tile] = float16_pair(first, second);
      if constexpr (kParts == 2) {
        words[1][tile] = float16_pair(first - low_of_float16(words[0][tile]),
                                      second - high_of_float16(words[0][tile]));
      }
    }
  }

  /// Inputs of a layer's products, as fragments A: product p with k = 16 reads words 4p .. 4p + 3
  /// of a tile, a product with k = 8 the last two.
  template <int layer>
  struct Fragments {
    std::uint32_t words[kParts][kTiles][2 * Geometry::slot_pairs(layer)];
  };

  /// below: h of the layer below after the step, not read by layer 0; only layer 0 reads inputs.
  template <int layer>
  L2O_DEVICE static void make_fragments(const Hidden& below, const Hidden& own,
                                        const SlotWords& inputs, int t, Fragments<layer>& a) {
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        std::uint32_t slots[2 * Geometry::slot_pairs(layer)] = {};
#pragma unroll
        for (int v = 0; v < kGroups; ++v) {
          if constexpr (layer == 0) {
            slots[v] = own.unit[v][part][tile];
          } else {
            slots[v] = below.unit[v][part][tile];
            slots[kGroups + v] = own.unit[v][part][tile];
          }
        }
        if constexpr (layer == 0) slots[kGroups] = inputs[part][tile];
        if constexpr (layer > 0 || Geometry::kBiasHasOwnSlot) {
          slots[Geometry::slots(layer) - 1] = part == 0 && t == 0 ? kOnes : 0U;
        }
#pragma unroll
        for (int pair = 0; pair < Geometry::slot_pairs(layer); ++pair) {
          a.words[part][tile][2 * pair] = low_halves(slots[2 * pair], slots[2 * pair + 1]);
          a.words[part][tile][2 * pair + 1] = high_halves(slots[2 * pair], slots[2 * pair + 1]);
        }
      }
    }
  }

  /// Gates of the lane's unit in group v, for all its rows, from the first kWeightParts parts of
  /// the weights. weights: packed, in shared memory.
  template <int layer, int kWeightParts = Policy::kWeightParts>
  L2O_DEVICE static void gates(const std::uint32_t* weights, int v, int lane,
                               const Fragments<layer>& a, LstmGates (&result)[kRows]) {
    static_assert(kWeightParts <= Policy::kWeightParts);
    constexpr int k16_products = Geometry::k16_products(layer);
    float sums[kTiles][2][4] = {};  // columns i, f and columns g, o
#pragma unroll
    for (int weight_part = 0; weight_part < kWeightParts; ++weight_part) {
      const std::uint32_t* words = weights + weight_part * Geometry::kForwardWords +
                                   Geometry::forward_offset(layer) +
                                   v * Geometry::group_words(layer);
      // The second part of W is multiplied only by the rounded inputs.
      const int parts = weight_part == 0 ? kParts : 1;
#pragma unroll
      for (int product = 0; product < k16_products; ++product) {
        const uint4 b = load_vector<uint4>(words + 4 * (product * kWarpSize + lane));
#pragma unroll
        for (int part = 0; part < parts; ++part) {
#pragma unroll
          for (int tile = 0; tile < kTiles; ++tile) {
            const std::uint32_t* from = a.words[part][tile] + 4 * product;
            const std::uint32_t fragment[4] = {from[0], from[1], from[2], from[3]};
            multiply_float16_k16(sums[tile][0], fragment, b.x, b.y);
            multiply_float16_k16(sums[tile][1], fragment, b.z, b.w);
          }
        }
      }
      if constexpr (Geometry::k8_products(layer) == 1) {
        const uint2 b = load_vector<uint2>(words + 4 * k16_products * kWarpSize + 2 * lane);
#pragma unroll
        for (int part = 0; part < parts; ++part) {
#pragma unroll
          for (int tile = 0; tile < kTiles; ++tile) {
            const std::uint32_t* from = a.words[part][tile] + 4 * k16_products;
            const std::uint32_t fragment[2] = {from[0], from[1]};
            multiply_float16_k8(sums[tile][0], fragment, b.x);
            multiply_float16_k8(sums[tile][1], fragment, b.y);
          }
        }
      }
    }
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const int tile = row / 2, first = row % 2 * 2;
      result[row] = activate<Policy>(sums[tile][0][first], sums[tile][0][first + 1],
                                     sums[tile][1][first], sums[tile][1][first + 1]);
    }
  }

  /// Updates c of one unit and computes its h after the step.
  L2O_DEVICE static void advance(const LstmGates& gates, float& c, float& h) {
    c = fused(gates.f, c, gates.i * gates.g);
    h = gates.o * tanh_of_cell<Policy>(c);
    if constexpr (Policy::kHalfCell) c = round_cell_randomly(c, h);
  }
};

}  // namespace l2o::cuda
