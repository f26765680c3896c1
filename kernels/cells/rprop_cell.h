// Rprop (Riedmiller & Braun 1993) as in PyTorch: every coordinate has its own step size, which
// grows while the gradient keeps its sign and shrinks when the sign flips. After a flip the
// coordinate rests for one step and forgets the gradient, so that it is not penalized twice.
#pragma once

#include <array>

#include "kernels/cells/cell.h"

namespace l2o {

struct RpropCell {
  static constexpr const char* kName = "rprop";
  /// learning_rate is the first step size.
  static constexpr std::array<HyperParameter, 3> kHyper = {
      {{"learning_rate", 0.01F}, {"shrink", 0.5F}, {"grow", 1.2F}}};
  static constexpr float kMinStep = 1e-6F, kMaxStep = 50.0F;

  /// gradient of the previous step, step size; a step size of 0 means not yet started
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig&) { return 2; }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig&) { return 0; }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* /*meta*/, T gradient,
                                   T* state) {
    // The signs, not the gradients, are multiplied: a product of small gradients would underflow.
    const T agreement = sign(gradient) * sign(state[0]);
    const T factor = agreement > T(0)   ? T(config.hyper[2])
                     : agreement < T(0) ? T(config.hyper[1])
                                        : T(1);
    T step = (state[1] == T(0) ? T(config.hyper[0]) : state[1]) * factor;
    step = step < T(kMinStep) ? T(kMinStep) : step > T(kMaxStep) ? T(kMaxStep) : step;
    state[0] = agreement < T(0) ? T(0) : gradient;
    state[1] = step;
    return -sign(state[0]) * step;
  }

 private:
  template <class T>
  L2O_HOST_DEVICE static T sign(T value) {
    return value > T(0) ? T(1) : value < T(0) ? T(-1) : T(0);
  }
};

}  // namespace l2o
