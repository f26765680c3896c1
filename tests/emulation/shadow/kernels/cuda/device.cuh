// GPU functions of kernels, on a CPU: replaces kernels/cuda/device.cuh, which documents each
// function. Here they also report errors: missing lanes, memory that is misaligned or of the wrong
// kind.
#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/emulation/async_copies.h"
#include "tests/emulation/grid.h"
#include "tests/emulation/numbers.h"
#include "tests/emulation/special_functions.h"
#include "tests/emulation/warp_functions.h"

#define L2O_DEVICE inline

namespace l2o::cuda {

inline constexpr int kWarpSize = emulation::kWarpLanes;

/// The location of a call, for error messages; the last parameter of every function that threads
/// call together.
using emulation::Place;

// ----------------------------------------------------------------------------- threads of a block

L2O_DEVICE int thread_index() { return emulation::running.index; }
L2O_DEVICE int block_threads() { return emulation::running.block_threads; }
L2O_DEVICE int block_index() { return emulation::running.block; }
L2O_DEVICE int block_count() { return emulation::running.block_count; }
L2O_DEVICE void synchronize_block(const Place& place = Place::here()) {
  emulation::wait_for_block(place);
}

/// Nanoseconds of the CPU's clock.
L2O_DEVICE std::int64_t clock_cycles() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

/// Ends at an inaccessible page, so it is aligned to only 16 bytes, the largest alignment that any
/// access needs.
L2O_DEVICE std::byte* shared_memory() { return emulation::running.shared_memory; }

L2O_DEVICE float shuffle_xor(float value, int mask, const Place& place = Place::here()) {
  return emulation::shuffle("shuffle_xor", place, value,
                            emulation::running.index % kWarpSize ^ mask);
}
/// Shuffles the two halves, as the hardware does.
L2O_DEVICE double shuffle_xor(double value, int mask, const Place& place = Place::here()) {
  struct Halves {
    float low, high;
  };
  const auto mine = std::bit_cast<Halves>(value);
  const float low = shuffle_xor(mine.low, mask, place), high = shuffle_xor(mine.high, mask, place);
  return std::bit_cast<double>(Halves{low, high});
}
L2O_DEVICE float shuffle(float value, int lane, const Place& place = Place::here()) {
  return emulation::shuffle("shuffle", place, value, lane);
}

// ----------------------------------------------------------------------------------------- memory

template <class T>
L2O_DEVICE T load_vector(const void* source) {
  emulation::require_alignment(source, sizeof(T), "load_vector");
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}
template <class T>
L2O_DEVICE void store_vector(void* destination, T value) {
  emulation::require_alignment(destination, sizeof(T), "store_vector");
  std::memcpy(destination, &value, sizeof value);
}

template <class T>
L2O_DEVICE T load_streaming(const T* source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16);
  emulation::require_alignment(source, sizeof(T), "load_streaming");
  emulation::require_not_shared(source, "load_streaming");
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}
template <class T>
L2O_DEVICE void store_streaming(T* destination, T value) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16);
  emulation::require_alignment(destination, sizeof(T), "store_streaming");
  emulation::require_not_shared(destination, "store_streaming");
  std::memcpy(destination, &value, sizeof value);
}

L2O_DEVICE void copy_async(std::uint32_t* shared, const std::uint32_t* global) {
  emulation::require_alignment(shared, sizeof *shared, "copy_async");
  emulation::require_alignment(global, sizeof *global, "copy_async");
  emulation::require_shared(shared, sizeof *shared, "copy_async");
  emulation::require_not_shared(global, "copy_async");
  emulation::copy_async(shared, global);
}
L2O_DEVICE void wait_for_copies() { emulation::wait_for_copies(); }

// ---------------------------------------------------------------------------------------- numbers

L2O_DEVICE std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }
L2O_DEVICE float float_from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }
L2O_DEVICE float fused(float a, float b, float c) { return std::fma(a, b, c); }

using emulation::approximate_exp2;
using emulation::approximate_log2;
using emulation::approximate_reciprocal;
using emulation::approximate_square_root;
using emulation::approximate_tanh;

L2O_DEVICE std::uint32_t float16_pair(float low, float high) {
  return emulation::float16_of_float(low) | std::uint32_t{emulation::float16_of_float(high)} << 16;
}
L2O_DEVICE std::uint32_t bfloat16_pair(float low, float high) {
  return emulation::bfloat16_of_float(low) | std::uint32_t{emulation::bfloat16_of_float(high)}
                                                 << 16;
}
L2O_DEVICE float low_of_float16(std::uint32_t pair) {
  return emulation::float_of_float16(static_cast<std::uint16_t>(pair));
}
L2O_DEVICE float high_of_float16(std::uint32_t pair) {
  return emulation::float_of_float16(static_cast<std::uint16_t>(pair >> 16));
}
L2O_DEVICE float low_of_bfloat16(std::uint32_t pair) { return float_from_bits(pair << 16); }
L2O_DEVICE float high_of_bfloat16(std::uint32_t pair) {
  return float_from_bits(pair & 0xFFFF0000U);
}

L2O_DEVICE std::uint32_t low_halves(std::uint32_t first, std::uint32_t second) {
  return (first & 0xFFFFU) | second << 16;
}
L2O_DEVICE std::uint32_t high_halves(std::uint32_t first, std::uint32_t second) {
  return first >> 16 | (second & 0xFFFF0000U);
}

// ----------------------------------------------------------------------------------- tensor cores

L2O_DEVICE void multiply_float16_k16(float (&sums)[4], const std::uint32_t (&a)[4],
                                     std::uint32_t b0, std::uint32_t b1,
                                     const Place& place = Place::here()) {
  emulation::multiply("multiply_float16_k16", place, emulation::run_float16_k16,
                      {sums, a, {b0, b1}});
}
L2O_DEVICE void multiply_float16_k8(float (&sums)[4], const std::uint32_t (&a)[2], std::uint32_t b0,
                                    const Place& place = Place::here()) {
  emulation::multiply("multiply_float16_k8", place, emulation::run_float16_k8, {sums, a, {b0}});
}
L2O_DEVICE void multiply_bfloat16_k16(float (&sums)[4], const std::uint32_t (&a)[4],
                                      std::uint32_t b0, std::uint32_t b1,
                                      const Place& place = Place::here()) {
  emulation::multiply("multiply_bfloat16_k16", place, emulation::run_bfloat16_k16,
                      {sums, a, {b0, b1}});
}

L2O_DEVICE void store_fragment(std::uint16_t* block, int stride, const std::uint32_t (&a)[4],
                               const Place& place = Place::here()) {
  emulation::store_fragment(place, {block, stride, a});
}
/// The hardware has no instruction for it, so the lanes need not call it together.
L2O_DEVICE void store_fragment(std::uint16_t* block, int stride, const std::uint32_t (&a)[2]) {
  emulation::require_rows(block, stride, "store_fragment");
  const int lane = thread_index() % kWarpSize;
  std::uint16_t* const target = block + lane / 4 * stride + lane % 4 * 2;
  store_vector(target, a[0]);
  store_vector(target + 8 * stride, a[1]);
}

L2O_DEVICE void load_transposed(std::uint32_t (&blocks)[4], const std::uint16_t* row,
                                const Place& place = Place::here()) {
  emulation::load_transposed<4>(place, {blocks, row});
}
L2O_DEVICE void load_transposed(std::uint32_t (&blocks)[2], const std::uint16_t* row,
                                const Place& place = Place::here()) {
  emulation::load_transposed<2>(place, {blocks, row});
}

}  // namespace l2o::cuda
