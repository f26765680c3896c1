// The floating-point control register of the calling thread: MXCSR on x86, FPCR on 64-bit Arm.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace l2o {

struct FloatingPointMode {
#if defined(__SSE2__)
  /// All bits except the sticky exception flags: rounding, exception masks, flushing.
  static constexpr std::uint64_t kControl = 0xFFC0;
  /// Value of these bits: round to nearest, preserve denormals, trap nothing.
  static constexpr std::uint64_t kDefault = 0x1F80;
  /// Denormal results and operands are treated as 0.
  static constexpr std::uint64_t kFlushDenormals = 0x8040;
  static std::uint64_t get() { return _mm_getcsr(); }
  static void set(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kControl = ~std::uint64_t{0}, kDefault = 0,
                                 kFlushDenormals = 1U << 24;
  static std::uint64_t get() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t kControl = 0, kDefault = 0, kFlushDenormals = 0;
  static std::uint64_t get() { return 0; }
  static void set(std::uint64_t /*mode*/) {}
#endif
};

}  // namespace l2o
