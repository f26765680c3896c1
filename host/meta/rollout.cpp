#include "host/meta/rollout.h"

#include <cstddef>
#include <cstdint>

#include "host/backend/buffer.h"
#include "kernels/math/philox.h"

namespace l2o {

std::vector<std::vector<float>> rollout(DeviceOptimizer& optimizer, Optimizee& optimizee,
                                        const TaskRange& range, int steps) {
  Backend& backend = optimizer.backend();
  const auto tasks = static_cast<std::size_t>(optimizee.tasks());
  const std::int64_t n = optimizee.tasks() * optimizee.coordinates();
  const std::size_t slots = static_cast<std::size_t>(steps) + 1;

  CoordinateState state(backend, optimizer.cell(), n);
  Buffer<float> theta(backend, static_cast<std::size_t>(n));     // [N]
  Buffer<float> gradient(backend, static_cast<std::size_t>(n));  // [N]
  Buffer<float> losses(backend, slots * tasks);                  // [steps + 1, B]

  optimizee.sample(range);
  optimizee.initial_parameters(theta.data());
  state.reset();
  for (std::size_t t = 0; t < slots; ++t) {
    optimizee.value_and_gradient(theta.data(), static_cast<std::uint32_t>(t),
                                 losses.data() + t * tasks, gradient.data());
    if (t + 1 < slots) step(optimizer, n, gradient.data(), state, theta.data());
  }

  const std::vector<float> host_losses = losses.download();
  std::vector<std::vector<float>> curves(tasks, std::vector<float>(slots));
  for (std::size_t t = 0; t < slots; ++t) {
    for (std::size_t task = 0; task < tasks; ++task) {
      curves[task][t] = host_losses[t * tasks + task];
    }
  }
  return curves;
}

std::uint64_t stream_seed(std::uint64_t seed, TaskStream stream) {
  // Purpose 0 of the generator (word 3 of the counter) is nobody else's: RandomPurpose starts at 1.
  const PhiloxBlock block = philox4x32({{static_cast<std::uint32_t>(stream), 0, 0, 0}}, seed);
  return (std::uint64_t{block.word[1]} << 32) | block.word[0];
}

}  // namespace l2o
