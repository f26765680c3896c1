// Tensor cores, shuffles and transposed loads of the emulation, compared to plain loops in float64.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cuda/launch.cuh"
#include "tests/emulation/gpu_memory.h"

namespace l2o::cuda {
namespace {

using emulation::GpuMemory;
using Halves = std::vector<std::uint16_t>;

constexpr LaunchShape kOneWarp = {.blocks = 1, .threads = kWarpSize, .shared_bytes = 16 * 24 * 2};

/// The largest float32, in magnitude, that does not exceed the value.
float truncated(double value) {
  auto result = static_cast<float>(value);
  while (std::fabs(double{result}) > std::fabs(value)) result = std::nextafter(result, 0.0F);
  return result;
}

// --------------------------------------------------------------------------------------- products

enum class Kind { kFloat16K16, kFloat16K8, kBfloat16K16 };

/// sums [16, 8] += a [16, k] b [k, 8], all row-major in memory.
__global__ void tensor_product_kernel(Kind kind, const std::uint16_t* a, const std::uint16_t* b,
                                      float* sums) {
  const int k = kind == Kind::kFloat16K8 ? 8 : 16;
  const int g = thread_index() / 4, t = thread_index() % 4;
  const auto pair_of_a = [&](int row, int column) {
    return a[row * k + column] | static_cast<std::uint32_t>(a[row * k + column + 1]) << 16;
  };
  const auto pair_of_b = [&](int row) {
    return b[row * 8 + g] | static_cast<std::uint32_t>(b[(row + 1) * 8 + g]) << 16;
  };
  float own[4];
  for (int i = 0; i < 4; ++i) own[i] = sums[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  if (kind == Kind::kFloat16K8) {
    multiply_float16_k8(own, {pair_of_a(g, 2 * t), pair_of_a(g + 8, 2 * t)}, pair_of_b(2 * t));
  } else {
    const std::uint32_t fragment[4] = {pair_of_a(g, 2 * t), pair_of_a(g + 8, 2 * t),
                                       pair_of_a(g, 2 * t + 8), pair_of_a(g + 8, 2 * t + 8)};
    const std::uint32_t b0 = pair_of_b(2 * t), b1 = pair_of_b(2 * t + 8);
    if (kind == Kind::kFloat16K16) {
      multiply_float16_k16(own, fragment, b0, b1);
    } else {
      multiply_bfloat16_k16(own, fragment, b0, b1);
    }
  }
  for (int i = 0; i < 4; ++i) sums[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = own[i];
}

struct Product {
  Kind kind;
  Halves a, b;
  std::vector<float> sums;
  int k() const { return kind == Kind::kFloat16K8 ? 8 : 16; }
};

std::vector<float> run(const Product& product) {
  const GpuMemory<std::uint16_t> a(product.a.size()), b(product.b.size());
  const GpuMemory<float> sums(product.sums.size());
  std::copy(product.a.begin(), product.a.end(), a.begin());
  std::copy(product.b.begin(), product.b.end(), b.begin());
  std::copy(product.sums.begin(), product.sums.end(), sums.begin());
  launch("tensor_product_kernel", tensor_product_kernel, Device(), kOneWarp, product.kind, a.data(),
         b.data(), sums.data());
  return {sums.begin(), sums.end()};
}

/// Decodes a format by its definition: sign, exponent, mantissa.
double value_of(Kind kind, std::uint16_t bits) {
  const int mantissa_bits = kind == Kind::kBfloat16K16 ? 7 : 10;
  const int bias = kind == Kind::kBfloat16K16 ? 127 : 15;
  const int exponent = (bits & 0x7FFF) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                    : std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

std::vector<double> reference(const Product& product) {
  std::vector<double> sums(product.sums.begin(), product.sums.end());
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      for (int i = 0; i < product.k(); ++i) {
        sums[row * 8 + column] += value_of(product.kind, product.a[row * product.k() + i]) *
                                  value_of(product.kind, product.b[i * 8 + column]);
      }
    }
  }
  return sums;
}

/// Numbers in 2^-6 .. 2^6 or 0: all sums of their products are exact in float64.
Product random_product(Kind kind, std::mt19937& random) {
  Product product = {.kind = kind, .a = {}, .b = {}, .sums = std::vector<float>(16 * 8)};
  const int mantissa_bits = kind == Kind::kBfloat16K16 ? 7 : 10;
  const int bias = kind == Kind::kBfloat16K16 ? 127 : 15;
  const auto number = [&] {
    const auto bits = static_cast<std::uint32_t>(random());
    if (bits % 16 == 0) return std::uint16_t{0};
    const int exponent = bias - 6 + static_cast<int>(bits / 16 % 13);
    const int mantissa = static_cast<int>(bits >> 16) & ((1 << mantissa_bits) - 1);
    return static_cast<std::uint16_t>(
        (bits >> 31 << 15) | static_cast<std::uint32_t>(exponent << mantissa_bits | mantissa));
  };
  product.a.resize(static_cast<std::size_t>(16 * product.k()));
  product.b.resize(static_cast<std::size_t>(product.k() * 8));
  for (std::uint16_t& value : product.a) value = number();
  for (std::uint16_t& value : product.b) value = number();
  for (float& sum : product.sums) {
    sum = static_cast<float>(static_cast<int>(random() % 20001) - 10000) / 256.0F;
  }
  return product;
}

TEST(TensorCores, AreTruncatedSumsOfExactProducts) {
  std::mt19937 random(1);
  int inexact = 0;
  for (const Kind kind : {Kind::kFloat16K16, Kind::kFloat16K8, Kind::kBfloat16K16}) {
    for (int i = 0; i < 50; ++i) {
      const Product product = random_product(kind, random);
      const std::vector<float> sums = run(product);
      const std::vector<double> expected = reference(product);
      for (std::size_t j = 0; j < sums.size(); ++j) {
        ASSERT_EQ(sums[j], truncated(expected[j])) << "kind " << static_cast<int>(kind);
        inexact += truncated(expected[j]) != static_cast<float>(expected[j]) ? 1 : 0;
      }
    }
  }
  EXPECT_GT(inexact, 1000);  // rounding to nearest would have been detected
}

constexpr std::uint16_t kHalfOne = 0x3C00, kHalfInfinity = 0x7C00, kHalfNan = 0x7E00;

TEST(TensorCores, PreserveDenormals) {
  Product product = {.kind = Kind::kFloat16K16,
                     .a = Halves(16 * 16, kHalfOne),
                     .b = Halves(16 * 8, 1),
                     .sums = std::vector<float>(16 * 8)};
  for (const float sum : run(product)) EXPECT_EQ(sum, 0x1p-20F);
}

TEST(TensorCores, PropagateNonFiniteValues) {
  Product product = {.kind = Kind::kFloat16K16,
                     .a = Halves(16 * 16, kHalfOne),
                     .b = Halves(16 * 8, kHalfOne),
                     .sums = std::vector<float>(16 * 8)};
  product.a[3 * 16 + 5] = kHalfInfinity;
  product.b[9 * 8 + 2] = kHalfNan;
  const std::vector<float> sums = run(product);
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      const float sum = sums[static_cast<std::size_t>(row * 8 + column)];
      if (column == 2) {
        EXPECT_TRUE(std::isnan(sum));
      } else {
        EXPECT_EQ(sum, row == 3 ? HUGE_VALF : 16.0F);
      }
    }
  }
}

// ---------------------------------------------------------------------------------------- shuffle

__global__ void shuffle_kernel(float* out) {
  const int lane = thread_index() % kWarpSize;
  out[thread_index()] = shuffle(static_cast<float>(thread_index()), (5 * lane + 3) % kWarpSize);
  out[block_threads() + thread_index()] = shuffle_xor(static_cast<float>(thread_index()), 21);
}
TEST(Shuffle, StaysInTheWarp) {
  const GpuMemory<float> out(2 * 64);
  launch("shuffle_kernel", shuffle_kernel, Device(), {.blocks = 1, .threads = 64}, out.data());
  for (int thread = 0; thread < 64; ++thread) {
    const int warp = thread / kWarpSize * kWarpSize, lane = thread % kWarpSize;
    EXPECT_EQ(out[static_cast<std::size_t>(thread)],
              static_cast<float>(warp + (5 * lane + 3) % 32));
    EXPECT_EQ(out[static_cast<std::size_t>(64 + thread)], static_cast<float>(warp + (lane ^ 21)));
  }
}

// ---------------------------------------------------------------------------- fragments in memory

/// Stores a fragment of numbers row * 16 + column to shared memory and copies it to `stored` [16,
/// 16]; stores the transposes of its 8 x 8 blocks to `blocks` [4 + 2, 32].
__global__ void fragment_kernel(std::uint16_t* stored, std::uint32_t* blocks, bool half) {
  constexpr int kStride = 24;
  auto* const memory = reinterpret_cast<std::uint16_t*>(shared_memory());
  const int lane = thread_index(), g = lane / 4, t = lane % 4;
  const auto pair = [](int row, int column) {
    const int first = row * 16 + column;
    return static_cast<std::uint32_t>(first | (first + 1) << 16);
  };
  const std::uint32_t a[4] = {pair(g, 2 * t), pair(g + 8, 2 * t), pair(g, 2 * t + 8),
                              pair(g + 8, 2 * t + 8)};
  store_fragment(memory, kStride, a);
  if (half) store_fragment(memory, kStride, {a[1], a[0]});  // with its rows exchanged
  synchronize_block();
  for (int i = lane; i < 16 * 16; i += kWarpSize) stored[i] = memory[i / 16 * kStride + i % 16];

  // Block i: rows 8 (i % 2) .., columns 8 (i / 2) ...
  std::uint32_t four[4], two[2];
  load_transposed(four, memory + (lane / 8 % 2 * 8 + lane % 8) * kStride + lane / 16 * 8);
  load_transposed(two, lane < 16 ? memory + lane * kStride : nullptr);
  for (int i = 0; i < 4; ++i) blocks[i * kWarpSize + lane] = four[i];
  for (int i = 0; i < 2; ++i) blocks[(4 + i) * kWarpSize + lane] = two[i];
}

TEST(Fragments, ComeBackFromSharedMemoryTransposed) {
  const GpuMemory<std::uint16_t> stored(16 * 16);
  const GpuMemory<std::uint32_t> blocks(6 * kWarpSize);
  launch("fragment_kernel", fragment_kernel, Device(), kOneWarp, stored.data(), blocks.data(),
         false);
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(stored[i], i);
  for (std::uint32_t block = 0; block < 6; ++block) {
    const std::uint32_t row = block % 2 * 8, column = block / 2 % 2 * 8;
    for (std::uint32_t lane = 0; lane < kWarpSize; ++lane) {
      const std::uint32_t first = (row + lane % 4 * 2) * 16 + column + lane / 4;
      EXPECT_EQ(blocks[block * kWarpSize + lane], first | (first + 16) << 16)
          << block << " " << lane;
    }
  }
}

TEST(Fragments, HalfStoreWritesOnlyTheLeftHalf) {
  const GpuMemory<std::uint16_t> stored(16 * 16);
  const GpuMemory<std::uint32_t> blocks(6 * kWarpSize);
  launch("fragment_kernel", fragment_kernel, Device(), kOneWarp, stored.data(), blocks.data(),
         true);
  for (std::size_t i = 0; i < 256; ++i) {
    EXPECT_EQ(stored[i], i % 16 < 8 ? (i + 128) % 256 : i) << i;
  }
}

}  // namespace
}  // namespace l2o::cuda
