// Which instruction sets Highway compiles for. Include before any Highway header.
//
// Left out: SSSE3, since every x86 processor of the last 15 years has SSE4; and SVE and RVV, whose
// vectors have no size at compile time and so cannot stand in the arrays of accumulators that the
// kernels are made of. There NEON, or plain C++, does the work.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

/// Unrolls the loop behind it completely, which is what keeps an array of vectors in registers.
#if defined(__clang__)
#define L2O_UNROLL _Pragma("unroll")
#else
#define L2O_UNROLL _Pragma("GCC unroll 32")
#endif
