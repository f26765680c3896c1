// Augmentations available for every optimizee: random scaling of the coordinates, and additional
// convex coordinates (RNNProp: Lv, Jiang, Li 2017). A rule that is trained with them sees gradients
// of many magnitudes, and learns to bring convex coordinates to their minimum.
#pragma once

#include <cstdint>
#include <memory>

#include "host/optimizee/optimizee.h"

namespace l2o {

/// The scope of one factor of the random scaling.
enum class ScaleLevel : int { kCoordinate, kTensor, kTask };

struct Augmentation {
  float random_scaling = 0.0F;  ///< r: factors exp(U(-r, r)); 0: none
  ScaleLevel scale_level = ScaleLevel::kCoordinate;
  std::int64_t convex = 0;  ///< K additional coordinates
};

/// Keys:
///   random_scaling  r: every coordinate is multiplied by exp(U(-r, r)), drawn afresh per task,
///                   before the function sees it: f'(theta) = f(c theta), theta_0' = theta_0 / c,
///                   gradient' = c gradient(c theta) (0: off)
///   scale_level     scope of a factor: "coordinate" (default), "tensor" or "task"
///   convex          K additional coordinates x, the tensor "convex", which add mean
///                   min((x - a)^2, 10) to the loss, a ~ U(-1, 1) for each task, x_0 = 0 (0: off)
Augmentation read_augmentation(ConfigReader& options);

/// Returns the optimizee with the requested augmentation; unchanged if none is requested.
std::unique_ptr<Optimizee> augment(Backend& backend, const Augmentation& augmentation,
                                   std::unique_ptr<Optimizee> optimizee);

}  // namespace l2o
