// The single table of tolerances: allowed deviation of float32 results from a float64 computation,
// relative to the largest value compared unless stated otherwise. Errors measured on x86 are given
// in parentheses; the bounds leave room for other CPUs.
#pragma once

namespace l2o::tolerance {

/// One activation, relative to its own value (6e-7).
inline constexpr double kActivation = 1e-6;
/// A preprocessed gradient, absolute, if p >= 10.
inline constexpr double kPreprocessing = 1e-6;
/// LSTM state after up to 20 steps (4e-7).
inline constexpr double kLstmState = 2e-6;
/// theta after up to 20 steps (7e-7).
inline constexpr double kLstmUpdate = 4e-6;
/// theta after 5 steps of an imported rule with p = 4 or 5 (5e-6), against formulas that use
/// log(|g| + 2^-23).
inline constexpr double kImportedUpdate = 1e-5;
/// Meta-gradient of up to 20 steps, Euclidean norm of the error relative to its own (6e-7).
inline constexpr double kMetaGradient = 3e-6;

// Ops of optimizees.

/// Elementwise ops, and sums in double; exponentials and erf from the library (3e-7).
inline constexpr double kElement = 1e-6;
/// Convolutions: sums of up to 500 products in float32 (8e-7).
inline constexpr double kConvolution = 4e-6;
/// Normalized values and their adjoints: values of order 1 (1e-6); the CPU sums up to 16 rows in
/// float32. Also for a GPU against the CPU.
inline constexpr double kNorm = 4e-6;
/// Loss of a network of up to ten layers, relative to 1 or to the loss if that is larger (1.4e-7).
inline constexpr double kNetworkLoss = 1e-6;
/// Its gradient (5.1e-7).
inline constexpr double kNetworkGradient = 2e-6;

// The same on the tensor cores of a GPU, by precision; errors measured (up to 50 steps, all
// shapes) in the emulation of tests/emulation, which truncates sums as the hardware does and gives
// its tanh the largest permitted error. Quantities without an entry for f32 are as above.

/// Meta-gradient (3.7e-6).
inline constexpr double kSplitMetaGradient = 1e-5;
/// (5.8e-4, 7.0e-4, 2.2e-3)
inline constexpr double kMixedState = 1.2e-3;
inline constexpr double kMixedUpdate = 1.5e-3;
inline constexpr double kMixedMetaGradient = 4.5e-3;
/// (1.2e-3, 1.2e-3, 2.3e-3)
inline constexpr double kHalfState = 2.4e-3;
inline constexpr double kHalfUpdate = 2.4e-3;
inline constexpr double kHalfMetaGradient = 4.5e-3;
/// Losses of two episodes of meta-training, a GPU at f32 against a CPU.
inline constexpr double kEpisodeLoss = 1e-3;

// Ops on a GPU against the CPU, both float32 with different orders of summation and exponentials of
// different libraries.
/// Sums in double of the same numbers: one rounding.
inline constexpr double kDoubleSum = 1.2e-7;
/// phi, its moments and the gradient's norm: roundings from double.
inline constexpr double kMetaUpdate = 1.2e-7;
inline constexpr double kSoftmax = 1e-6;
/// The CPU adds up to 1030 products sequentially (1.2e-6).
inline constexpr double kQuadratic = 4e-6;
/// Products of up to 784 terms.
inline constexpr double kGemm = 2e-6;

}  // namespace l2o::tolerance
