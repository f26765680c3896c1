// Functions that the 32 lanes of a warp compute together. The operands of each lane are
// documented in kernels/cuda/device.cuh; `place` is the location of the call in the kernel.
//
// The per-lane parts are inline: after a fiber switch, a CPU mispredicts returns, so every level of
// calls around the switch is expensive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "tests/emulation/emulation.h"
#include "tests/emulation/grid.h"

namespace l2o::emulation {

// ---------------------------------------------------------------------------------------- shuffle

struct Shuffle {
  float value;
  int from;  // source lane
  float result;
};
void run_shuffle(void* const (&lanes)[kWarpLanes]);

/// Returns the value passed by lane `lane`.
inline float shuffle(const char* name, const Place& place, float value, int lane) {
  if (settings.mutations.skip_shuffles && running.index % kWarpLanes >= kWarpLanes / 2)
    return value;
  if (lane < 0 || lane >= kWarpLanes) fail(std::string(name) + ": there is no such lane");
  Shuffle mine = {value, lane, 0.0F};
  call_together(name, place, run_shuffle, &mine);
  return mine.result;
}

// --------------------------------------------------------------------------------------- products
// Products are exact; a sum and its products are added in double and then truncated to float32,
// like the sums of tensor cores.

/// A lane's fragments of sums += A B.
struct Product {
  float* sums;             // [4]
  const std::uint32_t* a;  // [k / 4]
  std::uint32_t b[2];      // [k / 8]
};
void run_float16_k16(void* const (&lanes)[kWarpLanes]);
void run_float16_k8(void* const (&lanes)[kWarpLanes]);
void run_bfloat16_k16(void* const (&lanes)[kWarpLanes]);

inline void multiply(const char* name, const Place& place, WarpFunction function, Product mine) {
  if (settings.mutations.swap_product_halves && function != run_float16_k8) {
    std::swap(mine.b[0], mine.b[1]);
  }
  call_together(name, place, function, &mine);
}

// ---------------------------------------------------------------------------------- shared memory

inline constexpr std::size_t kRowBytes = 16;

/// Fails unless the rows of 16 bytes that start at `block`, `stride` numbers apart, are aligned and
/// the first one is in shared memory.
void require_rows(const std::uint16_t* block, int stride, const char* function);

struct StoredFragment {
  std::uint16_t* block;
  int stride;
  const std::uint32_t* a;  // [4]
};
void run_store(void* const (&lanes)[kWarpLanes]);

/// All lanes must pass the same block and stride.
inline void store_fragment(const Place& place, StoredFragment mine) {
  require_rows(mine.block, mine.stride, "store_fragment");
  call_together("store_fragment", place, run_store, &mine);
}

struct TransposedLoad {
  std::uint32_t* blocks;  // [count]
  const std::uint16_t* row;
};
template <int count>
void run_load(void* const (&lanes)[kWarpLanes]);

template <int count>
void load_transposed(const Place& place, TransposedLoad mine) {
  if (settings.mutations.misalign_rows) ++mine.row;
  if (running.index % kWarpLanes < 8 * count) {  // other lanes' rows are not read
    require_alignment(mine.row, kRowBytes, "load_transposed");
    require_shared(mine.row, kRowBytes, "load_transposed");
  }
  call_together("load_transposed", place, run_load<count>, &mine);
}

}  // namespace l2o::emulation
