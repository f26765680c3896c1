// The one table of tolerances: how far float32 results may lie from a float64 computation of the
// same thing. Errors are relative to the largest value of what is compared, unless it says
// otherwise. Measured errors stand behind; a bound is some four times that.
#pragma once

namespace l2o::tolerance {

/// One activation, relative to its own value (measured 6e-7).
inline constexpr double kActivation = 1e-6;
/// Preprocessed gradient, absolute: log|g| / p (measured 1e-7).
inline constexpr double kPreprocessing = 1e-6;
/// LSTM state after an unroll of up to 20 steps (measured 1e-6).
inline constexpr double kLstmState = 4e-6;
/// Sum of an unroll's updates, relative to the largest of them.
inline constexpr double kLstmUpdate = 1e-5;
/// Meta-gradient, Euclidean norm of the error relative to that of the gradient.
inline constexpr double kMetaGradient = 1e-5;

}  // namespace l2o::tolerance
