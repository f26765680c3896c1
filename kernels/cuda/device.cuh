// Everything that a kernel needs of a GPU beyond plain C++: the only file with PTX and intrinsics.
// tests/emulation has another file of this name, with the same functions for a CPU.
//
// Rules for kernels, so that the emulation can replace the hardware: blocks and grids have one
// dimension; warp functions are called by all 32 lanes of the warp together; shared memory is
// accessed only through shared_memory(); atomics are not used; fused multiply-adds are written out,
// because sources are compiled with -fmad=false.
//
// Terms: a "pair" is two 16-bit floats in one 32-bit register, the first in the low half.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#define L2O_DEVICE __device__ __forceinline__

namespace l2o::cuda {

inline constexpr int kWarpSize = 32;

// ----------------------------------------------------------------------------- threads of a block

L2O_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
L2O_DEVICE int block_threads() { return static_cast<int>(blockDim.x); }
L2O_DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
L2O_DEVICE int block_count() { return static_cast<int>(gridDim.x); }
L2O_DEVICE void synchronize_block() { __syncthreads(); }

/// Clock cycles of the multiprocessor, from an arbitrary start.
L2O_DEVICE std::int64_t clock_cycles() { return clock64(); }

/// The block's shared memory, of the size given at the launch; aligned to 128 bytes.
L2O_DEVICE std::byte* shared_memory() {
  extern __shared__ __align__(128) std::byte memory[];
  return memory;
}

/// Returns the value passed by lane `lane ^ mask` of the warp.
L2O_DEVICE float shuffle_xor(float value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
}
L2O_DEVICE double shuffle_xor(double value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
}
/// Returns the value passed by lane `lane` of the warp.
L2O_DEVICE float shuffle(float value, int lane) { return __shfl_sync(0xFFFFFFFFU, value, lane); }

// ----------------------------------------------------------------------------------------- memory

/// Loads and stores of data that will not be needed again soon: they leave the caches to other
/// data. T has 4, 8 or 16 bytes; pointers are aligned to its size.
template <class T>
L2O_DEVICE T load_streaming(const T* source) {
  return __ldcs(source);
}
template <class T>
L2O_DEVICE void store_streaming(T* destination, T value) {
  __stcs(destination, value);
}

/// Starts copying a word to shared memory; wait_for_copies() in the same thread waits for it. Until
/// then, the thread must not access either word, and no other thread may read the copy.
L2O_DEVICE void copy_async(std::uint32_t* shared, const std::uint32_t* global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;"
               :
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(shared))),
                 "l"(__cvta_generic_to_global(global))
               : "memory");
}
L2O_DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" : : : "memory"); }

/// Plain loads and stores of whole vectors: uint2, uint4, float4, aligned to their size.
template <class T>
L2O_DEVICE T load_vector(const void* source) {
  return *static_cast<const T*>(source);
}
template <class T>
L2O_DEVICE void store_vector(void* destination, T value) {
  *static_cast<T*>(destination) = value;
}

// ---------------------------------------------------------------------------------------- numbers

L2O_DEVICE std::uint32_t bits_of(float value) { return __float_as_uint(value); }
L2O_DEVICE float float_from_bits(std::uint32_t bits) { return __uint_as_float(bits); }

/// a b + c with a single rounding.
L2O_DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }

// The special-function unit. Errors: exp2 and reciprocal 2 and 1 units in the last place, log2 an
// absolute 2^-22 where it is small, square root a relative 2^-23, tanh a relative 2^-11 (CUDA's PTX
// manual). exp2, reciprocal and square root treat denormals as 0.
L2O_DEVICE float approximate_tanh(float x) {
  float result;
  asm("tanh.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
L2O_DEVICE float approximate_exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
L2O_DEVICE float approximate_reciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
L2O_DEVICE float approximate_square_root(float x) {
  float result;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
L2O_DEVICE float approximate_log2(float x) {
  float result;
  asm("lg2.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// Two floats, rounded to the nearest 16-bit floats, ties to even.
L2O_DEVICE std::uint32_t float16_pair(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
L2O_DEVICE std::uint32_t bfloat16_pair(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
L2O_DEVICE float low_of_float16(std::uint32_t pair) {
  float value;
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low; }"
      : "=f"(value)
      : "r"(pair));
  return value;
}
L2O_DEVICE float high_of_float16(std::uint32_t pair) {
  float value;
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, high; }"
      : "=f"(value)
      : "r"(pair));
  return value;
}

L2O_DEVICE float low_of_bfloat16(std::uint32_t pair) { return float_from_bits(pair << 16); }
L2O_DEVICE float high_of_bfloat16(std::uint32_t pair) {
  return float_from_bits(pair & 0xFFFF0000U);
}

/// The low halves of two words as a pair, and their high halves.
L2O_DEVICE std::uint32_t low_halves(std::uint32_t first, std::uint32_t second) {
  return __byte_perm(first, second, 0x5410);
}
L2O_DEVICE std::uint32_t high_halves(std::uint32_t first, std::uint32_t second) {
  return __byte_perm(first, second, 0x7632);
}

// ----------------------------------------------------------------------------------- tensor cores
//
// Fragments as defined by the PTX manual for mma.m16n8k16. With g = lane / 4 and t = lane % 4:
//   A [16 x 16]  a[0], a[1]: columns 2t, 2t + 1 of rows g, g + 8;  a[2], a[3]: 8 columns further on
//   B [16 x 8]   b0: rows 2t, 2t + 1 of column g;  b1: 8 rows further on
//   sums [16 x 8]  sums[0], sums[1]: columns 2t, 2t + 1 of row g;  sums[2], sums[3]: of row g + 8
// Products with k = 8 have only a[0], a[1] and b0.

/// sums += A B, in float32.
L2O_DEVICE void multiply_float16_k16(float (&sums)[4], const std::uint32_t (&a)[4],
                                     std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
L2O_DEVICE void multiply_float16_k8(float (&sums)[4], const std::uint32_t (&a)[2],
                                    std::uint32_t b0) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(b0));
}
L2O_DEVICE void multiply_bfloat16_k16(float (&sums)[4], const std::uint32_t (&a)[4],
                                      std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

L2O_DEVICE std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Stores a fragment A [16 x 16] of 16-bit numbers to shared memory, rows `stride` numbers apart.
/// `block` and the stride are multiples of 16 bytes.
L2O_DEVICE void store_fragment(std::uint16_t* block, int stride, const std::uint32_t (&a)[4]) {
  const int lane = thread_index() % kWarpSize;
#if __CUDA_ARCH__ >= 900
  // Lanes 8i .. 8i + 7 point to the rows of the 8 x 8 block held by a[i].
  const std::uint16_t* row = block + (lane / 8 % 2 * 8 + lane % 8) * stride + lane / 16 * 8;
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
               :
               : "r"(shared_address(row)), "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3])
               : "memory");
#else
  std::uint16_t* const destination = block + lane / 4 * stride + lane % 4 * 2;
  store_vector(destination, a[0]);
  store_vector(destination + 8 * stride, a[1]);
  store_vector(destination + 8, a[2]);
  store_vector(destination + 8 * stride + 8, a[3]);
#endif
}
/// Stores the left half of a fragment, [16 x 8].
L2O_DEVICE void store_fragment(std::uint16_t* block, int stride, const std::uint32_t (&a)[2]) {
  const int lane = thread_index() % kWarpSize;
  std::uint16_t* const destination = block + lane / 4 * stride + lane % 4 * 2;
  store_vector(destination, a[0]);
  store_vector(destination + 8 * stride, a[1]);
}

/// Loads and transposes four blocks [8 x 8] of 16-bit numbers in shared memory, one into each
/// register: lanes 8i .. 8i + 7 point to the rows of block i, 16 aligned bytes each.
L2O_DEVICE void load_transposed(std::uint32_t (&blocks)[4], const std::uint16_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(blocks[0]), "=r"(blocks[1]), "=r"(blocks[2]), "=r"(blocks[3])
               : "r"(shared_address(row))
               : "memory");
}
/// The same for two blocks: lanes 0 .. 15 point to their rows.
L2O_DEVICE void load_transposed(std::uint32_t (&blocks)[2], const std::uint16_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(blocks[0]), "=r"(blocks[1])
               : "r"(shared_address(row))
               : "memory");
}

}  // namespace l2o::cuda
