// The list of optimizees. To add one: write its file, declare its factory here and add a line.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "host/core/error.h"
#include "host/optimizee/augmented.h"
#include "host/optimizee/optimizee.h"

namespace l2o {

using Factory = std::unique_ptr<Optimizee>(const OptimizeeContext&, ConfigReader&);
Factory make_simple;     // simple.cpp
Factory make_quadratic;  // quadratic.cpp
Factory make_network;    // network/network.cpp
Factory make_mnist;      // network/network.cpp
Factory make_cifar10;    // network/network.cpp

const std::vector<OptimizeeEntry>& optimizee_registry() {
  static const std::vector<OptimizeeEntry> registry = {
      {"simple", "sum of x_i^2, the simplest task", make_simple},
      {"quadratic", "mean of ||W theta - y||^2 over many random W and y", make_quadratic},
      {"network", "a network of layers of any kind that learns a data set", make_network},
      {"mlp", "the same; its defaults are the paper's network on MNIST", make_mnist},
      {"mnist", "the same as mlp", make_mnist},
      {"cifar10", "the same; its defaults are the paper's network on CIFAR-10", make_cifar10},
  };
  return registry;
}

std::unique_ptr<Optimizee> make_optimizee(const OptimizeeContext& context, ConfigReader& options) {
  if (context.tasks < 1) {
    throw Error(Status::kUsage,
                fmt::format("a batch of {} tasks; expected at least 1", context.tasks));
  }
  std::vector<std::string> known;
  for (const OptimizeeEntry& entry : optimizee_registry()) known.push_back(entry.name);
  if (!options.has("name")) {
    throw Error(Status::kUsage,
                fmt::format("the optimizee has no name; known names: {}", fmt::join(known, ", ")));
  }
  const std::string name = options.choice("name", known.front(), known);
  const Augmentation augmentation = read_augmentation(options);
  for (const OptimizeeEntry& entry : optimizee_registry()) {
    if (entry.name == name) {
      return augment(context.backend, augmentation, entry.make(context, options));
    }
  }
  throw Error(Status::kInternal, "no optimizee is named " + name);
}

}  // namespace l2o
