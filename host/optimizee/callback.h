// An optimizee that somebody else evaluates: a program that embeds the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "host/optimizee/optimizee.h"

namespace l2o {

/// One task at a time; `slot` in [0, tasks) is its place in the batch. Pointers are backend memory.
/// A function that cannot go on throws.
struct ObjectiveFunctions {
  /// Parameters of one task.
  std::int64_t coordinates = 0;
  /// Draws task number `task` of the stream `seed` for the slot. Empty: all tasks are alike.
  std::function<void(int slot, std::uint64_t seed, std::uint32_t task)> sample;
  /// Writes theta_0 [coordinates] of the task in the slot.
  std::function<void(int slot, float* theta)> initial_parameters;
  /// loss [1] and gradient [coordinates] at theta [coordinates].
  std::function<void(int slot, std::uint32_t evaluation, const float* theta, float* loss,
                     float* gradient)>
      value_and_gradient;
};

/// A batch of `tasks` tasks.
std::unique_ptr<Optimizee> make_callback_optimizee(ObjectiveFunctions functions, int tasks);

}  // namespace l2o
