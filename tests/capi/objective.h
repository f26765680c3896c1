// The objective of the tests: sum_i (theta_i - target_i)^2, with targets for each task.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"

namespace l2o::test {

struct Targets {
  static constexpr std::size_t kCoordinates = 6;

  std::vector<std::vector<float>> of_slot;  // [tasks][kCoordinates]
  int fail_at_evaluation = -1;              // counted over all calls; -1: never
  int evaluations = 0;
  int failing_samples = 0;  // number of calls to sample that fail after that

  explicit Targets(std::size_t tasks) : of_slot(tasks, std::vector<float>(kCoordinates)) {}

  l2o_objective objective() {
    l2o_objective objective;
    l2o_objective_init(&objective);
    objective.user = this;
    objective.coordinates = kCoordinates;
    objective.sample = [](void* user, std::size_t slot, std::uint64_t seed, std::uint32_t task) {
      auto& self = *static_cast<Targets*>(user);
      if (self.fail_at_evaluation >= 0 && self.evaluations > self.fail_at_evaluation &&
          self.failing_samples > 0) {
        --self.failing_samples;
        return 8;
      }
      self.of_slot[slot] = Numbers(seed + task).uniform(kCoordinates, -1.0F, 1.0F);
      return 0;
    };
    objective.initial_parameters = [](void*, std::size_t, float* parameters, void*) {
      for (std::size_t i = 0; i < kCoordinates; ++i) parameters[i] = 0.0F;
      return 0;
    };
    objective.value_and_gradient = [](void* user, std::size_t slot, std::uint32_t,
                                      const float* parameters, float* loss, float* gradient,
                                      void* stream) {
      auto& self = *static_cast<Targets*>(user);
      if (self.evaluations++ == self.fail_at_evaluation || stream != nullptr) return 7;
      *loss = 0.0F;
      for (std::size_t i = 0; i < kCoordinates; ++i) {
        const float distance = parameters[i] - self.of_slot[slot][i];
        *loss += distance * distance;
        gradient[i] = 2.0F * distance;
      }
      return 0;
    };
    return objective;
  }

  /// The same objective, expressed as functions of a whole batch.
  l2o_objective batch_objective() {
    l2o_objective objective;
    l2o_objective_init(&objective);
    objective.user = this;
    objective.coordinates = kCoordinates;
    objective.sample_batch = [](void* user, std::uint64_t seed, std::uint32_t first,
                                std::size_t tasks) {
      const l2o_objective single = static_cast<Targets*>(user)->objective();
      int result = 0;
      for (std::size_t slot = 0; slot < tasks; ++slot) {
        result |= single.sample(user, slot, seed, first + static_cast<std::uint32_t>(slot));
      }
      return result;
    };
    objective.initial_parameters_batch = [](void*, std::size_t tasks, float* parameters, void*) {
      std::fill_n(parameters, tasks * kCoordinates, 0.0F);
      return 0;
    };
    objective.value_and_gradient_batch = [](void* user, std::uint32_t evaluation, std::size_t tasks,
                                            const float* parameters, float* losses,
                                            float* gradients, void* stream) {
      const l2o_objective single = static_cast<Targets*>(user)->objective();
      int result = 0;
      for (std::size_t slot = 0; slot < tasks; ++slot) {
        result |=
            single.value_and_gradient(user, slot, evaluation, parameters + slot * kCoordinates,
                                      losses + slot, gradients + slot * kCoordinates, stream);
      }
      return result;
    };
    return objective;
  }

  Owned<l2o_optimizee> optimizee(const Owned<l2o_context>& context) {
    return optimizee(context, objective());
  }
  Owned<l2o_optimizee> optimizee(const Owned<l2o_context>& context, const l2o_objective& own) {
    Owned<l2o_optimizee> made;
    EXPECT_OK(l2o_optimizee_create_callback(context.get(), &own, of_slot.size(), made.out()));
    return made;
  }
};

}  // namespace l2o::test
