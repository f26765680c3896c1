// Converts the engine's rules to the float64 reference, and makes states that they can reach.
#pragma once

#include <cmath>
#include <utility>

#include "kernels/cells/lstm_cell.h"
#include "tests/reference/lstm_reference.h"

namespace l2o::test {

inline reference::Lstm to_reference(const LstmConfig& lstm, reference::Vector phi) {
  constexpr reference::Inputs kInputs[] = {
      reference::Inputs::kGradient, reference::Inputs::kLogAndSign, reference::Inputs::kMoments,
      reference::Inputs::kAdamMoments};
  constexpr reference::Outputs kOutputs[] = {reference::Outputs::kLinear, reference::Outputs::kTanh,
                                             reference::Outputs::kModulated};
  return {.layers = lstm.layers,
          .hidden = lstm.hidden,
          .preprocessing = kInputs[static_cast<int>(lstm.preprocessing)],
          .p = lstm.p,
          .projection = lstm.input_projection,
          .output = kOutputs[static_cast<int>(lstm.output)],
          .output_scale = lstm.output_scale,
          .phi = std::move(phi)};
}

/// Turns the arbitrary numbers at the end of a coordinate's state, `stride` apart, into moments
/// that gradients can produce: second moments are at least the squares of the first ones, and an
/// age is an integer.
template <class Number>
void make_moments_possible(const LstmConfig& lstm, Number* state, std::ptrdiff_t stride = 1) {
  Number* const moments = state + lstm_state_size(lstm) * stride;
  const auto square = [&](int s) { return moments[s * stride] * moments[s * stride]; };
  const auto age = [&](int s) {
    moments[s * stride] = std::floor(std::abs(moments[s * stride]) * Number(60));
  };
  if (lstm.preprocessing == Preprocessing::kMoments) {
    moments[stride] = square(0) + square(1);
    age(2);
  }
  if (lstm.preprocessing == Preprocessing::kAdamMoments) {
    moments[stride] = square(0) + square(1);
    moments[3 * stride] = square(0) + square(2) + square(3);
    age(4);
  }
}

}  // namespace l2o::test
