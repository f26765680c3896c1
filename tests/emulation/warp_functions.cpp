#include "tests/emulation/warp_functions.h"

#include <cstring>

#include "tests/emulation/numbers.h"

namespace l2o::emulation {
namespace {

/// The operand passed by a lane.
template <class Operand>
Operand& operand(void* const (&lanes)[kWarpLanes], int lane) {
  return *static_cast<Operand*>(lanes[lane]);
}

// --------------------------------------------------------------------------------------- products

constexpr int kRows = 16, kColumns = 8, kMaxK = 16;

/// The matrices of one product; with k = 8, half of A's columns and of B's rows are unused.
struct Matrices {
  std::uint16_t a[kRows][kMaxK];
  std::uint16_t b[kMaxK][kColumns];
  float sums[kRows][kColumns];
};

template <int k>
void collect(void* const (&lanes)[kWarpLanes], Matrices& m) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    const Product& mine = operand<Product>(lanes, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < k / 4; ++i) {  // a pair's first number is in its low half, as in memory
      std::memcpy(&m.a[g + i % 2 * 8][2 * t + i / 2 * 8], &mine.a[i], sizeof mine.a[i]);
    }
    for (int i = 0; i < k / 8; ++i) {
      m.b[2 * t + 8 * i][g] = static_cast<std::uint16_t>(mine.b[i]);
      m.b[2 * t + 1 + 8 * i][g] = static_cast<std::uint16_t>(mine.b[i] >> 16);
    }
    for (int i = 0; i < 4; ++i) m.sums[g + i / 2 * 8][2 * t + i % 2] = mine.sums[i];
  }
}

void hand_out(const Matrices& m, void* const (&lanes)[kWarpLanes]) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    const Product& mine = operand<Product>(lanes, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) mine.sums[i] = m.sums[g + i / 2 * 8][2 * t + i % 2];
  }
}

using Float = float (*)(std::uint16_t);

/// A row of sums.
using Row [[gnu::vector_size(kColumns * sizeof(double))]] = double;

template <int k, Float number>
[[gnu::always_inline]] inline void multiply(Matrices& m) {
  double a[kRows][k];
  Row b[k];
  for (int row = 0; row < kRows; ++row) {
    for (int i = 0; i < k; ++i) a[row][i] = number(m.a[row][i]);
  }
  for (int i = 0; i < k; ++i) {
    for (int column = 0; column < kColumns; ++column) b[i][column] = number(m.b[i][column]);
  }
  for (int row = 0; row < kRows; ++row) {
    Row sums;
    for (int column = 0; column < kColumns; ++column) sums[column] = m.sums[row][column];
    for (int i = 0; i < k; ++i) sums += a[row][i] * b[i];
    for (int column = 0; column < kColumns; ++column) {
      m.sums[row][column] = round_toward_zero(sums[column]);
    }
  }
}

// Compiled for vectors of several lengths; the results are the same.
#ifdef __x86_64__
#define L2O_FOR_EVERY_PROCESSOR \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define L2O_FOR_EVERY_PROCESSOR
#endif
L2O_FOR_EVERY_PROCESSOR void multiply_float16_k16(Matrices& m) {
  multiply<16, float_of_float16>(m);
}
L2O_FOR_EVERY_PROCESSOR void multiply_float16_k8(Matrices& m) { multiply<8, float_of_float16>(m); }
L2O_FOR_EVERY_PROCESSOR void multiply_bfloat16_k16(Matrices& m) {
  multiply<16, float_of_bfloat16>(m);
}

template <int k, void (*product)(Matrices&)>
void run_product(void* const (&lanes)[kWarpLanes]) {
  Matrices matrices;
  collect<k>(lanes, matrices);
  product(matrices);
  hand_out(matrices, lanes);
}

}  // namespace

void run_float16_k16(void* const (&lanes)[kWarpLanes]) {
  run_product<16, multiply_float16_k16>(lanes);
}
void run_float16_k8(void* const (&lanes)[kWarpLanes]) {
  run_product<8, multiply_float16_k8>(lanes);
}
void run_bfloat16_k16(void* const (&lanes)[kWarpLanes]) {
  run_product<16, multiply_bfloat16_k16>(lanes);
}

void run_shuffle(void* const (&lanes)[kWarpLanes]) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    Shuffle& mine = operand<Shuffle>(lanes, lane);
    mine.result = operand<Shuffle>(lanes, mine.from).value;
  }
}

// ---------------------------------------------------------------------------------- shared memory

void require_rows(const std::uint16_t* block, int stride, const char* function) {
  require_alignment(block, kRowBytes, function);
  require_alignment(block + stride, kRowBytes, function);
  require_shared(block, kRowBytes, function);
}

void run_store(void* const (&lanes)[kWarpLanes]) {
  const StoredFragment& first = operand<StoredFragment>(lanes, 0);
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    const StoredFragment& mine = operand<StoredFragment>(lanes, lane);
    if (mine.block != first.block || mine.stride != first.stride) {
      fail("store_fragment: the lanes of a warp give different blocks");
    }
    std::uint16_t* const target = mine.block + lane / 4 * mine.stride + lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      std::memcpy(target + i % 2 * 8 * mine.stride + i / 2 * 8, &mine.a[i], sizeof mine.a[i]);
    }
  }
}

template <int count>
void run_load(void* const (&lanes)[kWarpLanes]) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int block = 0; block < count; ++block) {
      const auto number = [&](int row) -> std::uint32_t {
        return operand<TransposedLoad>(lanes, 8 * block + row).row[g];
      };
      operand<TransposedLoad>(lanes, lane).blocks[block] = number(2 * t) | number(2 * t + 1) << 16;
    }
  }
}
template void run_load<2>(void* const (&lanes)[kWarpLanes]);
template void run_load<4>(void* const (&lanes)[kWarpLanes]);

}  // namespace l2o::emulation
