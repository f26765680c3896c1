// The floating-point mode of a call.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace l2o::capi {

/// While it lives, this thread rounds to nearest, has denormal numbers and traps nothing, as every
/// thread does that nobody told otherwise. Callers may have told theirs, as programs built with
/// -ffast-math do at their start: without this a result would depend on that, and on how many of
/// the pool's threads have it from whoever started them. Then the caller's mode is as it was.
class DefaultFloatingPoint {
 public:
  DefaultFloatingPoint() : saved_(mode()) {
    if ((saved_ & kControl) != kDefault) set_mode(kDefault);
  }
  ~DefaultFloatingPoint() {
    if ((saved_ & kControl) != kDefault) set_mode(saved_);
  }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
#if defined(__SSE2__)
  // MXCSR but the flags of what has happened: denormals, masks of exceptions, rounding, flushing.
  static constexpr std::uint64_t kControl = 0xFFC0, kDefault = 0x1F80;
  static std::uint64_t mode() { return _mm_getcsr(); }
  static void set_mode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kControl = ~std::uint64_t{0}, kDefault = 0;  // of FPCR
  static std::uint64_t mode() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set_mode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t kControl = 0, kDefault = 0;
  static std::uint64_t mode() { return 0; }
  static void set_mode(std::uint64_t /*mode*/) {}
#endif

  std::uint64_t saved_;
};

}  // namespace l2o::capi
