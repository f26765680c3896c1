// One step of a rule on tensors at any addresses, used by l2o_step and runs.
#pragma once

#include <span>

#include "host/capi/objects.h"

namespace l2o::capi {

/// The options of a step.
struct StepRequest {
  StepScales scales;
  l2o_nan_policy nan_policy = L2O_NAN_SKIP_STEP;
};

/// Throws kUsage if the policy is not a valid one.
void require_nan_policy(l2o_nan_policy policy, const char* name);

/// Steps every tensor, in context memory. Returns false if L2O_NAN_SKIP_STEP skipped the step;
/// throws kNotFinite under L2O_NAN_ERROR. Requires an Entry.
bool step_tensors(Context& context, const DeviceOptimizer& optimizer,
                  std::span<const l2o_tensor> tensors, const StepRequest& request);

}  // namespace l2o::capi
