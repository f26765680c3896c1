// Selects the instruction sets for which Highway compiles. Include before any Highway header.
//
// Excluded: SSSE3, since every x86 CPU of the last 15 years has SSE4; and SVE and RVV, whose
// vectors have no compile-time size and so cannot be stored in the arrays of accumulators that the
// kernels use. There, NEON or plain C++ is used instead.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

/// Fully unrolls the loop that follows, which keeps an array of vectors in registers.
#if defined(__clang__)
#define L2O_UNROLL _Pragma("unroll")
#else
#define L2O_UNROLL _Pragma("GCC unroll 32")
#endif
