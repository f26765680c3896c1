// The one table of tolerances: how far float32 results may lie from a float64 computation of the
// same thing, relative to the largest value of what is compared unless it says otherwise. Errors
// measured on x86 stand behind; the bounds leave room for other processors.
#pragma once

namespace l2o::tolerance {

/// One activation, relative to its own value (6e-7).
inline constexpr double kActivation = 1e-6;
/// A preprocessed gradient, absolute, where p >= 10.
inline constexpr double kPreprocessing = 1e-6;
/// LSTM state after up to 20 steps (4e-7).
inline constexpr double kLstmState = 2e-6;
/// theta after up to 20 steps (7e-7).
inline constexpr double kLstmUpdate = 4e-6;
/// theta after 5 steps of an imported rule with p of 4 or 5 (5e-6), against formulas that take
/// log(|g| + 2^-23).
inline constexpr double kImportedUpdate = 1e-5;
/// Meta-gradient of up to 20 steps, Euclidean norm of the error relative to its own (6e-7).
inline constexpr double kMetaGradient = 3e-6;

// Ops of optimizees.

/// Value by value, and sums in double; exponentials and erf as the library has them (3e-7).
inline constexpr double kElement = 1e-6;
/// Convolutions: sums of up to 500 products in float32 (8e-7).
inline constexpr double kConvolution = 4e-6;
/// Normalised values and their adjoints: values of the order of 1 (1e-6); the processor adds up to
/// 16 rows in float32. On a GPU against the processor as well.
inline constexpr double kNorm = 4e-6;
/// Loss of a network of up to ten layers, relative to 1 or to the loss where that is larger
/// (1.4e-7).
inline constexpr double kNetworkLoss = 1e-6;
/// Its gradient (5.1e-7).
inline constexpr double kNetworkGradient = 2e-6;

// The same on the tensor cores of a GPU, by precision; errors measured (up to 50 steps, all
// shapes) in the emulation of tests/emulation, which cuts sums off as the hardware does and gives
// its tanh the largest error that it may have. What f32 has no entry for is as above.

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
/// Losses of two episodes of meta-training, a GPU at f32 against a processor.
inline constexpr double kEpisodeLoss = 1e-3;

// Ops on a GPU against the processor's, both float32 with sums in other orders and other
// libraries' exponentials.
/// What is summed in double, from the same numbers: a rounding.
inline constexpr double kDoubleSum = 1.2e-7;
/// phi, its moments and the gradient's norm: roundings of double.
inline constexpr double kMetaUpdate = 1.2e-7;
inline constexpr double kSoftmax = 1e-6;
/// The processor adds up to 1030 products one after the other (1.2e-6).
inline constexpr double kQuadratic = 4e-6;
/// Products of up to 784 terms.
inline constexpr double kGemm = 2e-6;

}  // namespace l2o::tolerance
