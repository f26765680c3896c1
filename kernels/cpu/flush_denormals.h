// Denormal floats count as 0 while an op runs.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace l2o::cpu {

/// Moments of a coordinate whose gradient stays 0 decay until they are denormal, and stay so: 0.9
/// times the smallest float is rounded back to it. Every operation on them then takes some hundred
/// cycles, which made steps of NAG on MNIST's empty pixels three times as slow.
class FlushDenormals {
 public:
  FlushDenormals() : saved_(mode()) { set_mode(saved_ | kFlush); }
  ~FlushDenormals() { set_mode(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__SSE2__)
  static constexpr std::uint64_t kFlush = 0x8040;  // of MXCSR: results and operands
  static std::uint64_t mode() { return _mm_getcsr(); }
  static void set_mode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kFlush = 1U << 24;  // of FPCR: both
  static std::uint64_t mode() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set_mode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t kFlush = 0;
  static std::uint64_t mode() { return 0; }
  static void set_mode(std::uint64_t /*mode*/) {}
#endif

  std::uint64_t saved_;
};

}  // namespace l2o::cpu
