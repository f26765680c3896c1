// An optimizee that is evaluated by the program that embeds the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "host/optimizee/optimizee.h"

namespace l2o {

/// Functions of a whole batch of B tasks of n parameters. Pointers are to backend memory. Functions
/// report errors by throwing.
struct ObjectiveFunctions {
  /// n, parameters of one task.
  std::int64_t coordinates = 0;
  /// Draws tasks first .. first + B - 1 of the stream `seed`. Empty: all tasks are alike.
  std::function<void(std::uint64_t seed, std::uint32_t first, int tasks)> sample;
  /// Writes theta_0 [B, n].
  std::function<void(int tasks, float* theta)> initial_parameters;
  /// losses [B] and gradients [B, n] at theta [B, n].
  std::function<void(std::uint32_t evaluation, int tasks, const float* theta, float* losses,
                     float* gradients)>
      value_and_gradient;
  /// Whether value_and_gradient() queues the same work each time.
  bool is_recordable = false;
};

/// A batch of `tasks` tasks.
std::unique_ptr<Optimizee> make_callback_optimizee(ObjectiveFunctions functions, int tasks);

}  // namespace l2o
