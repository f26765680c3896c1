// Applies an update to a parameter.
#pragma once

#include "kernels/host_device.h"

namespace l2o {

/// theta + scale (update - decay theta); exactly theta + update if scale is 1 and decay is 0.
L2O_HOST_DEVICE inline float scaled_step(float theta, float update, float scale, float decay) {
  if (decay != 0.0F) update -= decay * theta;
  return theta + scale * update;
}

}  // namespace l2o
